//! Rust and go-micro programs that find each other by the same server: each registry that go-micro has too.

use std::sync::Arc;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Change, Node, Registry, RegistryOptions, Service};
use micro_faults::{Consul, Etcd, Nats, ZooKeeper};
use micro_interop::RustGreeter;
use micro_interop::proto::{GreeterClient, GreeterServer, Request};
use micro_rpc::{Client, Running, ServerOptions};
use serde_json::Value;

use crate::peer::{GoServer, Peer, go_client};
use crate::wait::{fresh, until};

const TTL: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(60);

/// A server's registry, as both sides name it.
struct Place {
    ours: Arc<dyn Registry>,
    /// The flag of the Go program.
    theirs: String,
}

fn options(scheme: &str, server: &str) -> RegistryOptions {
    RegistryOptions::new().address(Address::parse(&format!("{scheme}://{server}")).unwrap())
}

fn etcd(server: &Etcd) -> Place {
    let address = server.address();
    let ours = micro_registry_etcd::Etcd::with_options(&options("etcd", &address)).unwrap();
    Place { ours: Arc::new(ours), theirs: format!("etcd={address}") }
}

fn consul(server: &Consul) -> Place {
    let address = server.address();
    let ours = micro_registry_consul::Consul::with_options(&options("consul", &address)).unwrap();
    Place { ours: Arc::new(ours), theirs: format!("consul={address}") }
}

fn nats(server: &Nats) -> Place {
    let address = server.address();
    let ours = micro_registry_nats::Nats::with_options(&options("nats", &address)).unwrap();
    Place { ours: Arc::new(ours), theirs: format!("nats={address}") }
}

fn zookeeper(server: &ZooKeeper) -> Place {
    let address = server.address();
    let ours = micro_registry_zookeeper::ZooKeeper::with_options(&options("zookeeper", &address)).unwrap();
    Place { ours: Arc::new(ours), theirs: format!("zookeeper={address}") }
}

/// A Rust greeter that is registered as the facade registers one.
async fn registered(name: &str, registry: &dyn Registry) -> (Service, Running) {
    let mut server = micro_rpc::Server::new(ServerOptions::new(name).address("127.0.0.1:0"));
    server.handle(GreeterServer::new(RustGreeter::new(name)));
    let endpoints = server.records();
    let server = server.start().await.unwrap();
    let node = Node::new(format!("{name}-1"), server.address().to_string()).with("protocol", "grpc");
    let record = endpoints.into_iter().fold(Service::new(name, "1.2.0").node(node), Service::endpoint);
    registry.register(&record, TTL).await.unwrap();
    (record, server)
}

async fn go_finds_and_calls_rust(place: Place) {
    let name = fresh("rust.found");
    let (record, _running) = registered(&name, &*place.ours).await;
    let outcome = go_client(&["-name", &name, "-registry", &place.theirs], &["unary"]).await.remove(0);
    assert_eq!((outcome.error, &outcome.response["msg"]), (None, &Value::from("Hello John")));

    let mut peer = Peer::start(&["get", "-name", &name, "-registry", &place.theirs]).await;
    let seen = peer.line().await.expect("the Go program prints what it knows");
    let mut seen: Service = serde_json::from_value(seen[0].clone()).unwrap();
    seen.endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(seen, record, "what go-micro reads is what we wrote");
}

async fn rust_finds_and_calls_go(place: Place) {
    let name = fresh("go.found");
    let mut watch = place.ours.watch(Some(&name)).await.unwrap();
    let mut next = async || tokio::time::timeout(LIMIT, watch.next()).await.expect("it is heard in time").unwrap();
    assert_eq!(next().await, Change::State(Vec::new()));
    let go = GoServer::start(&name, &place.theirs).await;
    match next().await {
        Change::Create(service) => assert_eq!(service.nodes[0].id, go.node),
        other => panic!("{other:?}"),
    }
    let client = Client::builder().registry(place.ours.clone()).timeout(LIMIT).build();
    let request = Request { name: "John".to_owned(), ..Request::default() };
    assert_eq!(GreeterClient::new(&*name, &client).greet(&request).await.unwrap().msg, "Hello John");
    let node = go.node.clone();
    go.stop().await;
    loop {
        match next().await {
            Change::Delete(service) => break assert_eq!(service.nodes[0].id, node),
            Change::Update(_) | Change::Create(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_go_watcher_hears_rust(place: Place) {
    a_go_watcher_of_hears_rust(&fresh("rust.watched"), place, || true).await;
}

/// `watches` tells whether what the Go program said that it does is so by now.
async fn a_go_watcher_of_hears_rust(name: &str, place: Place, watches: impl Fn() -> bool) {
    let mut watcher = Peer::start(&["watch", "-name", name, "-registry", &place.theirs]).await;
    assert_eq!(watcher.line().await.unwrap()["event"], "watching");
    until("the Go program watches", async || watches()).await;
    let (record, _running) = registered(name, &*place.ours).await;
    let id = &record.nodes[0].id;
    let is = |change: &Value, actions: &[&str]| {
        actions.iter().any(|action| change["Action"] == *action) && change["Service"]["nodes"][0]["id"] == **id
    };
    loop {
        let came = watcher.line().await.unwrap();
        if is(&came, &["create", "update"]) {
            break;
        }
        // go-micro's plugin for Consul tells of a service before it has seen its nodes.
        assert_eq!(came["Service"]["nodes"], Value::Null, "{came}");
    }
    place.ours.deregister(&record).await.unwrap();
    loop {
        let went = watcher.line().await.unwrap();
        if is(&went, &["delete"]) {
            break;
        }
        assert!(is(&went, &["create", "update"]), "{went}");
    }
}

// features: C3
#[tokio::test]
async fn a_go_program_finds_and_calls_a_rust_service_by_etcd() {
    let server = Etcd::start().unwrap();
    go_finds_and_calls_rust(etcd(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_rust_program_finds_and_calls_a_go_service_by_etcd() {
    let server = Etcd::start().unwrap();
    rust_finds_and_calls_go(etcd(&server)).await;
}

#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go_by_etcd() {
    let server = Etcd::start().unwrap();
    a_go_watcher_hears_rust(etcd(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_go_program_finds_and_calls_a_rust_service_by_consul() {
    let server = Consul::start().unwrap();
    go_finds_and_calls_rust(consul(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_rust_program_finds_and_calls_a_go_service_by_consul() {
    let server = Consul::start().unwrap();
    rust_finds_and_calls_go(consul(&server)).await;
}

#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go_by_consul() {
    let server = Consul::start().unwrap();
    a_go_watcher_hears_rust(consul(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_go_program_finds_and_calls_a_rust_service_by_nats() {
    let server = Nats::start().unwrap();
    go_finds_and_calls_rust(nats(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_rust_program_finds_and_calls_a_go_service_by_nats() {
    let server = Nats::start().unwrap();
    rust_finds_and_calls_go(nats(&server)).await;
}

#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go_by_nats() {
    let server = Nats::start().unwrap();
    a_go_watcher_hears_rust(nats(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_go_program_finds_and_calls_a_rust_service_by_zookeeper() {
    let server = ZooKeeper::start().unwrap();
    go_finds_and_calls_rust(zookeeper(&server)).await;
}

// features: C3
#[tokio::test]
async fn a_rust_program_finds_and_calls_a_go_service_by_zookeeper() {
    let server = ZooKeeper::start().unwrap();
    rust_finds_and_calls_go(zookeeper(&server)).await;
}

#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go_by_zookeeper() {
    let server = ZooKeeper::start().unwrap();
    let (place, name) = (zookeeper(&server), fresh("rust.watched"));
    // go-micro's plugin for ZooKeeper watches only what there is already.
    let there = Service::new(&name, "1.2.0").node(Node::new("there", "127.0.0.1:1").with("protocol", "grpc"));
    place.ours.register(&there, TTL).await.unwrap();
    // It watches the service and the node.
    a_go_watcher_of_hears_rust(&name, place, || server.ask("mntr").unwrap().contains("zk_watch_count\t2\n")).await;
}
