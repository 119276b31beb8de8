//! Rust and go-micro programs that find each other by a real etcd.

use std::sync::Arc;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Change, Node, Registry, RegistryOptions, Service};
use micro_faults::Etcd as Server;
use micro_interop::RustGreeter;
use micro_interop::proto::{GreeterClient, GreeterServer, Request};
use micro_registry_etcd::Etcd;
use micro_rpc::{Client, Running, ServerOptions};
use serde_json::Value;

use crate::peer::{GoServer, Peer, go_client};
use crate::wait::fresh;

const TTL: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(60);

fn registry(server: &Server) -> Arc<Etcd> {
    let address = Address::parse(&format!("etcd://{}", server.address())).unwrap();
    Arc::new(Etcd::with_options(&RegistryOptions::new().address(address)).unwrap())
}

/// A Rust greeter that is registered as the facade registers one.
async fn registered(name: &str, registry: &Etcd) -> (Service, Running) {
    let mut server = micro_rpc::Server::new(ServerOptions::new(name).address("127.0.0.1:0"));
    server.handle(GreeterServer::new(RustGreeter::new(name)));
    let endpoints = server.records();
    let server = server.start().await.unwrap();
    let node = Node::new(format!("{name}-1"), server.address().to_string()).with("protocol", "grpc");
    let record = endpoints.into_iter().fold(Service::new(name, "1.2.0").node(node), Service::endpoint);
    registry.register(&record, TTL).await.unwrap();
    (record, server)
}

// features: C3
#[tokio::test]
async fn a_go_program_finds_and_calls_a_rust_service_by_etcd() {
    let server = Server::start().unwrap();
    let (name, ours) = (fresh("rust.etcd"), registry(&server));
    let (record, _running) = registered(&name, &ours).await;
    let kind = format!("etcd={}", server.address());
    let outcome = go_client(&["-name", &name, "-registry", &kind], &["unary"]).await.remove(0);
    assert_eq!((outcome.error, &outcome.response["msg"]), (None, &Value::from("Hello John")));

    let mut peer = Peer::start(&["get", "-name", &name, "-registry", &kind]).await;
    let seen = peer.line().await.expect("the Go program prints what it knows");
    let seen: Service = serde_json::from_value(seen[0].clone()).unwrap();
    assert_eq!(seen, record, "what go-micro reads is what we wrote");
}

// features: C3
#[tokio::test]
async fn a_rust_program_finds_and_calls_a_go_service_by_etcd() {
    let server = Server::start().unwrap();
    let (name, ours) = (fresh("go.etcd"), registry(&server));
    let mut watch = ours.watch(Some(&name)).await.unwrap();
    let mut next = async || tokio::time::timeout(LIMIT, watch.next()).await.expect("it is heard in time").unwrap();
    assert_eq!(next().await, Change::State(Vec::new()));
    let go = GoServer::start(&name, &format!("etcd={}", server.address())).await;
    match next().await {
        Change::Create(service) => assert_eq!(service.nodes[0].id, go.node),
        other => panic!("{other:?}"),
    }
    let client = Client::builder().registry(ours.clone()).timeout(LIMIT).build();
    let request = Request { name: "John".to_owned(), ..Request::default() };
    assert_eq!(GreeterClient::new(&*name, &client).greet(&request).await.unwrap().msg, "Hello John");
    let node = go.node.clone();
    go.stop().await;
    loop {
        match next().await {
            Change::Delete(service) => break assert_eq!(service.nodes[0].id, node),
            Change::Update(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go_by_etcd() {
    let server = Server::start().unwrap();
    let (name, ours) = (fresh("rust.watched"), registry(&server));
    let kind = format!("etcd={}", server.address());
    let mut watcher = Peer::start(&["watch", "-name", &name, "-registry", &kind]).await;
    assert_eq!(watcher.line().await.unwrap()["event"], "watching");
    let (record, _running) = registered(&name, &ours).await;
    let came = watcher.line().await.unwrap();
    assert_eq!(
        (&came["Action"], &came["Service"]["nodes"][0]["id"]),
        (&"create".into(), &record.nodes[0].id.as_str().into())
    );
    ours.deregister(&record).await.unwrap();
    let went = watcher.line().await.unwrap();
    assert_eq!(
        (&went["Action"], &went["Service"]["nodes"][0]["id"]),
        (&"delete".into(), &record.nodes[0].id.as_str().into())
    );
}
