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

#[tokio::test]
async fn a_node_whose_address_is_nonsense_is_passed_over_or_named_and_no_call_hangs() {
    let registry = Arc::new(Memory::new());
    let client = Client::builder().registry(Arc::clone(&registry) as Arc<dyn Registry>).build();
    let nonsense = ["", "host", "host:0", "host:99999", "::1:80"];
    for (number, address) in nonsense.iter().enumerate() {
        let record = Service::new("who", "1").node(Node::new(format!("bad-{number}"), *address));
        registry.register(&record, Duration::from_secs(60)).await.unwrap();
    }
    let before = std::time::Instant::now();
    for _ in 0..100 {
        let error = client.call::<Text, Text>("who", "Who.Are", &text("")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NoNode);
        assert!(error.to_string().contains("no node of service who in memory"), "{error}");
        assert!(error.to_string().contains("host:port, one has \"\""), "{error}");
    }
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    // One that can be called is enough.
    let world = start(options(), vec![Endpoint::unary("Who.Are", |_, _: Text| async { Ok(text("good")) })]).await;
    let good = Service::new("who", "1").node(Node::new("good", &world.address));
    registry.register(&good, Duration::from_secs(60)).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(10);
    // Until the cache has heard of it.
    while let Err(error) = client.call::<Text, Text>("who", "Who.Are", &text("")).await {
        assert!(std::time::Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        assert_eq!(client.call::<Text, Text>("who", "Who.Are", &text("")).await.unwrap().text, "good");
    }
}

#[tokio::test]
async fn of_two_nodes_of_one_id_calls_go_to_the_last_registered() {
    let registry = Arc::new(Memory::new());
    let client = Client::builder().registry(Arc::clone(&registry) as Arc<dyn Registry>).build();
    let mut worlds = Vec::new();
    for (version, name) in [("1", "old"), ("1", "newer"), ("2", "newest")] {
        let who = Endpoint::unary("Who.Are", move |_, _: Text| async move { Ok(text(name)) });
        let world = start(options(), vec![who]).await;
        let record = Service::new("who", version).node(Node::new("same", &world.address));
        registry.register(&record, Duration::from_secs(60)).await.unwrap();
        worlds.push(world);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while client.call::<Text, Text>("who", "Who.Are", &text("")).await.unwrap().text != name {
            assert!(std::time::Instant::now() < until, "{name} is not called");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..20 {
            assert_eq!(client.call::<Text, Text>("who", "Who.Are", &text("")).await.unwrap().text, name);
        }
    }
}
