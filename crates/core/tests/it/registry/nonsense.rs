use std::sync::Arc;
use std::sync::atomic::Ordering;

use micro_core::registry::{Cache, Known, Node, Registry, Service};

use super::flaky::Flaky;
use super::*;

fn at(version: &str, id: &str, address: &str) -> Service {
    Service::new("s", version).node(Node::new(id, address))
}

fn addresses(known: &Known) -> Vec<&str> {
    known.candidates().iter().map(|candidate| candidate.node.address.as_str()).collect()
}

#[tokio::test]
async fn nodes_whose_address_cannot_be_called_are_left_out_and_shown() {
    let registry = Arc::new(Flaky::default());
    for (id, address) in
        [("a", ""), ("b", "host"), ("c", "host:0"), ("d", "host:99999"), ("e", "2001:db8::1"), ("f", ":80")]
    {
        registry.memory.register(&at("1", id, address), TTL).await.unwrap();
    }
    let cache = Cache::new(Arc::clone(&registry) as Arc<dyn Registry>);
    let known = cache.get("s").await.unwrap();
    assert!(known.candidates().is_empty());
    assert_eq!(known.unusable(), ["", "host", "host:0", "host:99999", "2001:db8::1", ":80"]);
    // Nobody can be called: the registry is not asked at each call all the same.
    for _ in 0..1_000 {
        assert!(cache.get("s").await.unwrap().candidates().is_empty());
    }
    let gets = registry.gets.load(Ordering::SeqCst);
    assert!(gets < 10, "{gets}");
    registry.memory.register(&at("1", "g", "[2001:db8::1]:80"), TTL).await.unwrap();
    until("the good one is there", async || addresses(&cache.get("s").await.unwrap()) == ["[2001:db8::1]:80"]).await;
}

#[tokio::test]
async fn of_two_nodes_of_one_id_the_last_registered_is_called_and_the_list_stands_still() {
    let registry = Arc::new(Flaky::default());
    registry.memory.register(&at("1", "a", "h:1"), TTL).await.unwrap();
    let cache = Cache::new(Arc::clone(&registry) as Arc<dyn Registry>);
    assert_eq!(addresses(&cache.get("s").await.unwrap()), ["h:1"]);
    until("it watches", async || registry.watches.load(Ordering::SeqCst) == 1).await;
    for (version, address) in [("1", "h:2"), ("2", "h:3"), ("2", "h:4")] {
        registry.memory.register(&at(version, "a", address), TTL).await.unwrap();
        until("the last counts", async || addresses(&cache.get("s").await.unwrap()) == [address]).await;
    }
    let before = cache.get("s").await.unwrap();
    for _ in 0..10 {
        registry.memory.register(&at("2", "a", "h:4"), TTL).await.unwrap();
    }
    registry.memory.register(&at("2", "b", "h:5"), TTL).await.unwrap();
    until("another comes", async || addresses(&cache.get("s").await.unwrap()) == ["h:4", "h:5"]).await;
    let after = cache.get("s").await.unwrap();
    assert!(Arc::ptr_eq(&before.candidates()[0], &after.candidates()[0]), "a heart-beat makes no new candidate");
    // The old program stops late.
    registry.memory.deregister(&at("1", "a", "h:2")).await.unwrap();
    assert_eq!(addresses(&cache.get("s").await.unwrap()), ["h:4", "h:5"]);
}
