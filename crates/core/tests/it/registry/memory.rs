use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Change, Endpoint, Memory, Node, Registry, Service, Value};

use super::*;

// features: C1, C8
#[tokio::test]
async fn a_record_comes_back_as_it_was_registered() {
    let registry = Memory::new();
    let record = Service::new("greeter", "1.2")
        .endpoint(Endpoint::new("Greeter.Greet").request(Value::new("Request", "Request")).with("stream", "true"))
        .node(Node::new("greeter-1", "[::1]:80").with("region", "Österreich").with("big", "x".repeat(100_000)));
    registry.register(&record, TTL).await.unwrap();
    assert_eq!(registry.clone().get("greeter").await.unwrap(), [record]);
    assert_eq!(registry.get("nobody").await.unwrap(), []);
}

// features: C11
#[tokio::test]
async fn nodes_and_versions_stand_side_by_side() {
    let registry = Memory::new();
    for (version, id) in [("1", "a"), ("1", "b"), ("2", "c")] {
        registry.register(&service("s", version, id), TTL).await.unwrap();
    }
    let services = registry.get("s").await.unwrap();
    assert_eq!(services.iter().map(|s| (s.version.as_str(), s.nodes.len())).collect::<Vec<_>>(), [("1", 2), ("2", 1)]);
}

#[tokio::test]
async fn registering_again_updates_and_doubles_nothing() {
    let registry = Memory::new();
    registry.register(&service("s", "1", "a"), TTL).await.unwrap();
    let mut watch = registry.watch(None).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::State(_)));
    registry.register(&service("s", "1", "a"), TTL).await.unwrap();
    silent(&mut watch).await;
    let moved = Service::new("s", "1").node(Node::new("a", "127.0.0.1:81"));
    registry.register(&moved, TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Update(moved.clone()));
    assert_eq!(registry.get("s").await.unwrap(), [moved]);
    registry.register(&service("s", "2", "a"), TTL).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Delete(gone) if gone.version == "1"));
    assert!(matches!(next(&mut watch).await, Change::Create(new) if new.version == "2"));
    assert_eq!(registry.get("s").await.unwrap().len(), 1);
}

#[tokio::test]
async fn deregistered_is_gone_at_once_and_the_unknown_is_no_error() {
    let registry = Memory::new();
    registry.register(&service("s", "1", "a"), TTL).await.unwrap();
    registry.register(&service("s", "1", "b"), TTL).await.unwrap();
    registry.deregister(&service("s", "1", "a")).await.unwrap();
    registry.deregister(&service("s", "1", "a")).await.unwrap();
    registry.deregister(&service("nobody", "1", "a")).await.unwrap();
    assert_eq!(ids(&registry.get("s").await.unwrap()), ["b"]);
}

// features: C4, C5
#[tokio::test]
async fn a_node_that_is_not_refreshed_goes_and_its_watchers_hear_of_it() {
    let registry = Memory::new();
    registry.register(&service("s", "1", "kept"), TTL).await.unwrap();
    registry.register(&service("s", "1", "dies"), Duration::from_millis(150)).await.unwrap();
    registry.register(&service("s", "1", "beats"), Duration::from_millis(900)).await.unwrap();
    let mut watch = registry.watch(Some("s")).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::State(all) if ids(&all).len() == 3));
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        registry.register(&service("s", "1", "beats"), Duration::from_millis(900)).await.unwrap();
    }
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "dies")));
    assert_eq!(ids(&registry.get("s").await.unwrap()), ["beats", "kept"]);
}

#[tokio::test]
async fn a_watch_of_one_service_hears_the_state_first_and_of_no_other() {
    let registry = Memory::new();
    registry.register(&service("mine", "1", "a"), TTL).await.unwrap();
    registry.register(&service("other", "1", "x"), TTL).await.unwrap();
    let mut one = registry.watch(Some("mine")).await.unwrap();
    let mut all = registry.watch(None).await.unwrap();
    assert_eq!(next(&mut one).await, Change::State(vec![service("mine", "1", "a")]));
    assert!(matches!(next(&mut all).await, Change::State(services) if services.len() == 2));
    registry.register(&service("other", "1", "y"), TTL).await.unwrap();
    registry.deregister(&service("mine", "1", "a")).await.unwrap();
    assert_eq!(next(&mut one).await, Change::Delete(service("mine", "1", "a")));
    assert_eq!(next(&mut all).await, Change::Create(service("other", "1", "y")));
    assert_eq!(next(&mut all).await, Change::Delete(service("mine", "1", "a")));
}

#[tokio::test]
async fn a_watcher_far_behind_gets_the_state_anew() {
    let registry = Memory::new();
    let mut watch = registry.watch(None).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    for id in 0..2_000 {
        registry.register(&service("s", "1", &id.to_string()), TTL).await.unwrap();
    }
    assert!(matches!(next(&mut watch).await, Change::State(all) if ids(&all).len() == 2_000));
    silent(&mut watch).await;
}

#[tokio::test]
async fn the_list_is_sorted_and_fifty_may_register_at_once() {
    let registry = Memory::new();
    let tasks = (0..50).map(|id| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let record = service(&format!("s{:02}", 49 - id), "1", &id.to_string());
            registry.register(&record, TTL).await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(registry.list().await.unwrap(), (0..50).map(|id| format!("s{id:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_found_or_never_ends_is_refused() {
    let node = || Node::new("a", "127.0.0.1:80");
    for (record, ttl, word) in [
        (Service::new("s", "1"), TTL, "a name and a node"),
        (Service::new("", "1").node(node()), TTL, "a name and a node"),
        (Service::new("s", "1").node(node()).node(Node::new("", "127.0.0.1:81")), TTL, "no id"),
        (Service::new("s", "1").node(node()), Duration::ZERO, "time to live"),
    ] {
        let registry = Memory::new();
        let error = registry.register(&record, ttl).await.unwrap_err();
        assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains(word), "{error}");
        assert_eq!(registry.list().await.unwrap(), Vec::<String>::new());
    }
}
