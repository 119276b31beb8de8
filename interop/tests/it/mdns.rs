//! Rust and go-micro programs that find each other by mDNS, in go-micro's own group.

use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service};
use micro_interop::RustGreeter;
use micro_interop::proto::{GreeterClient, GreeterServer, Request};
use micro_registry_mdns::Mdns;
use micro_rpc::{Client, Running, Server, ServerOptions};
use serde_json::Value;

use crate::peer::{GoServer, Peer, go_client};
use crate::wait::{fresh, until};

const TTL: Duration = Duration::from_secs(120);

struct Registered {
    registry: Mdns,
    record: Service,
    _server: Running,
}

/// A Rust greeter that is registered as the facade registers one.
async fn registered(name: &str) -> Registered {
    let mut server = Server::new(ServerOptions::new(name).address("127.0.0.1:0"));
    server.handle(GreeterServer::new(RustGreeter::new(name)));
    let endpoints = server.records();
    let server = server.start().await.unwrap();
    let node = Node::new(format!("{name}-{}", uuid::Uuid::new_v4()), server.address().to_string())
        .with("protocol", "grpc")
        .with("server", "grpc")
        .with("registry", "mdns");
    let record = endpoints.into_iter().fold(Service::new(name, "1.2.0").node(node), Service::endpoint);
    let registry = Mdns::new();
    registry.register(&record, TTL).await.unwrap();
    Registered { registry, record, _server: server }
}

fn rust_client() -> GreeterCall {
    GreeterCall(Client::builder().registry(std::sync::Arc::new(Mdns::new())).timeout(Duration::from_secs(50)).build())
}

struct GreeterCall(Client);

impl GreeterCall {
    async fn greet(&self, service: &str) -> micro_core::Result<String> {
        let request = Request { name: "John".to_owned(), ..Request::default() };
        Ok(GreeterClient::new(service, &self.0).greet(&request).await?.msg)
    }
}

// features: C1, C2
#[tokio::test]
async fn a_go_program_calls_a_rust_service_by_its_name() {
    let name = fresh("rust.mdns");
    let _rust = registered(&name).await;
    let outcome = go_client(&["-name", &name, "-registry", "mdns"], &["unary"]).await.remove(0);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.response["msg"], "Hello John");
}

// features: C8
#[tokio::test]
async fn a_go_program_reads_the_whole_record_of_a_rust_service() {
    let name = fresh("rust.record");
    let rust = registered(&name).await;
    let mut peer = Peer::start(&["get", "-name", &name]).await;
    let services = peer.line().await.expect("the Go program prints what it knows");
    let service = &services[0];
    assert_eq!((&service["name"], &service["version"]), (&Value::from(name.as_str()), &Value::from("1.2.0")));
    let node = &rust.record.nodes[0];
    assert_eq!(
        (&service["nodes"][0]["id"], &service["nodes"][0]["address"]),
        (&Value::from(node.id.as_str()), &Value::from(node.address.as_str()))
    );
    assert_eq!(service["nodes"][0]["metadata"]["protocol"], "grpc");
    let endpoint = |wanted: &str| {
        let endpoints = service["endpoints"].as_array().unwrap();
        endpoints
            .iter()
            .find(|endpoint| endpoint["name"] == wanted)
            .unwrap_or_else(|| panic!("no {wanted} in {services}"))
    };
    assert_eq!(endpoint("Greeter.Greet")["request"]["values"][0]["name"], "name");
    assert_eq!(endpoint("Greeter.Greet")["request"]["values"][0]["type"], "string");
    assert_eq!(endpoint("Greeter.Count")["metadata"]["stream"], "true");
}

// features: C1, C8
#[tokio::test]
async fn a_rust_program_calls_a_go_service_by_its_name() {
    let name = fresh("go.mdns");
    let go = GoServer::start(&name, "mdns").await;
    let client = rust_client();
    assert_eq!(client.greet(&name).await.unwrap(), "Hello John");

    let records = Mdns::new().get(&name).await.unwrap();
    assert_eq!((records.len(), records[0].version.as_str()), (1, "latest"), "{records:?}");
    let node = &records[0].nodes[0];
    assert_eq!((node.id.as_str(), node.address.as_str()), (go.node.as_str(), go.address.as_str()));
    assert_eq!(node.metadata.get("protocol").map(String::as_str), Some("grpc"));
    let greet = records[0].endpoints.iter().find(|endpoint| endpoint.name == "Greeter.Greet").unwrap();
    assert!(greet.response.as_ref().unwrap().values.iter().any(|field| field.name == "msg" && field.kind == "string"));
}

#[tokio::test]
async fn rust_and_go_nodes_of_one_service_are_both_found() {
    let name = fresh("both.mdns");
    let rust = registered(&name).await;
    let go = GoServer::start(&name, "mdns").await;
    let registry = Mdns::new();
    until("both nodes are found", async || {
        let records = registry.get(&name).await.unwrap();
        let ids: Vec<_> = records.iter().flat_map(|record| &record.nodes).map(|node| node.id.clone()).collect();
        ids.contains(&go.node) && ids.contains(&rust.record.nodes[0].id)
    })
    .await;
}

// features: C1
#[tokio::test]
async fn a_go_watcher_hears_a_rust_node_come_and_go() {
    let name = fresh("rust.watched");
    let mut watcher = Peer::start(&["watch", "-name", &name]).await;
    assert_eq!(watcher.line().await.unwrap()["event"], "watching");
    let rust = registered(&name).await;
    let came = watcher.line().await.unwrap();
    assert_eq!(
        (&came["Action"], &came["Service"]["nodes"][0]["id"]),
        (&Value::from("create"), &Value::from(rust.record.nodes[0].id.as_str()))
    );
    rust.registry.deregister(&rust.record).await.unwrap();
    loop {
        // An announcement is sent three times.
        let change = watcher.line().await.unwrap();
        if change["Action"] != "create" {
            assert_eq!(
                (&change["Action"], &change["Service"]["name"]),
                (&Value::from("delete"), &Value::from(name.as_str()))
            );
            break;
        }
    }
}

// features: C1
#[tokio::test]
async fn a_rust_watcher_hears_a_go_node_come_and_go() {
    let name = fresh("go.watched");
    let registry = Mdns::new();
    let mut watch = registry.watch(Some(&name)).await.unwrap();
    let mut next = async || {
        tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("the change is heard in time").unwrap()
    };
    assert_eq!(next().await, Change::State(Vec::new()));
    let go = GoServer::start(&name, "mdns").await;
    let node = go.node.clone();
    match next().await {
        Change::Create(service) => assert_eq!(service.nodes[0].id, node),
        other => panic!("{other:?}"),
    }
    go.stop().await;
    loop {
        match next().await {
            Change::Delete(service) => break assert_eq!(service.nodes[0].id, node),
            Change::Create(_) | Change::Update(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
