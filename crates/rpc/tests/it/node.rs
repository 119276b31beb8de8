//! Which node a call goes to, and what is said when there is none.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Memory, Node, Registry, Service};
use micro_core::selector::{Filter, RoundRobin};
use micro_rpc::{Client, Endpoint};

use crate::world::{Text, World, options, start, text};

/// Three nodes of one service, in two versions; each tells its name.
async fn fleet() -> (Client, Vec<World>) {
    let registry = Arc::new(Memory::new());
    let mut worlds = Vec::new();
    for (name, version, zone) in [("a", "1.0", "east"), ("b", "1.0", "west"), ("c", "2.0", "east")] {
        let who = Endpoint::unary("Who.Are", move |_, _: Text| async move { Ok(text(name)) });
        let world = start(options(), vec![who]).await;
        let record = Service::new("who", version).node(Node::new(name, &world.address).with("zone", zone));
        registry.register(&record, Duration::from_secs(60)).await.unwrap();
        worlds.push(world);
    }
    (Client::builder().registry(registry).build(), worlds)
}

// features: C9
#[tokio::test]
async fn calls_spread_over_the_nodes() {
    let (client, _worlds) = fleet().await;
    let mut seen = HashSet::new();
    for _ in 0..6 {
        let request = text("");
        let call = client.call::<Text, Text>("who", "Who.Are", &request);
        seen.insert(call.selector(Arc::new(RoundRobin::default())).await.unwrap().text);
        let request = text("");
        let call = client.call::<Text, Text>("who", "Who.Are", &request);
        seen.insert(call.await.unwrap().text);
    }
    assert!(seen.len() > 1, "{seen:?}");
}

// features: C9, C11, B8
#[tokio::test]
async fn filters_choose_by_version_and_label() {
    let (client, _worlds) = fleet().await;
    for _ in 0..5 {
        let request = text("");
        let call = client.call::<Text, Text>("who", "Who.Are", &request).filter(Filter::version("2.0"));
        assert_eq!(call.await.unwrap().text, "c");
        let request = text("");
        let call = client.call::<Text, Text>("who", "Who.Are", &request).filter(Filter::version("1.0"));
        assert_eq!(call.filter(Filter::label("zone", "east")).await.unwrap().text, "a");
    }
}

#[tokio::test]
async fn a_filter_that_no_node_passes_is_named() {
    let (client, _worlds) = fleet().await;
    let request = text("");
    let call = client.call::<Text, Text>("who", "Who.Are", &request).filter(Filter::version("9"));
    let error = call.filter(Filter::label("zone", "north")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoNode);
    assert!(
        error.to_string().contains("none of the 3 nodes of service who passes the filter version=9, zone=north"),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_that_is_not_registered_is_named_with_the_registry() {
    let (client, _worlds) = fleet().await;
    let error = client.call::<Text, Text>("nobody", "Who.Are", &text("")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::NoNode, 500));
    let shown = error.to_string();
    assert!(shown.contains("service nobody is not registered in memory at") && shown.contains("start it"), "{shown}");
}

#[tokio::test]
async fn without_a_registry_a_call_needs_an_address() {
    let error = Client::default().call::<Text, Text>("who", "Who.Are", &text("")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoNode);
    assert!(error.to_string().contains("the client has no registry"), "{error}");
}

#[tokio::test]
async fn the_registry_is_told_what_an_endpoint_takes_and_gives() {
    let mut server = micro_rpc::Server::new(options());
    server.handle(vec![
        Endpoint::unary("Z.Last", |_, request: Text| async move { Ok(request) }).metadata("handler", "rpc"),
        Endpoint::unary("A.Hidden", |_, request: Text| async move { Ok(request) }).internal(),
        Endpoint::stream("B.Stream", |_, _: micro_rpc::Receiver<Text>, _: micro_rpc::Sender<Text>| async { Ok(()) }),
    ]);
    let records = server.records();
    assert_eq!(records.iter().map(|record| &*record.name).collect::<Vec<_>>(), ["B.Stream", "Z.Last"]);
    assert_eq!(records[0].metadata["stream"], "true");
    assert_eq!(records[1].metadata["handler"], "rpc");
    assert_eq!(records[1].request.as_ref().unwrap().name, "Text");
}
