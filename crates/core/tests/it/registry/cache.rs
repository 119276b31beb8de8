use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use micro_core::registry::{Cache, Known, Registry};

use super::flaky::Flaky;
use super::*;

async fn with_one_node() -> (Arc<Flaky>, Arc<Cache>) {
    let registry = Arc::new(Flaky::default());
    registry.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    (Arc::clone(&registry), Arc::new(Cache::new(registry)))
}

fn nodes(known: &Known) -> Vec<&str> {
    known.candidates().iter().map(|candidate| candidate.node.id.as_str()).collect()
}

// features: C7
#[tokio::test]
async fn it_asks_once_and_then_hears_of_changes() {
    let (registry, cache) = with_one_node().await;
    let first = cache.get("s").await.unwrap();
    let second = cache.get("s").await.unwrap();
    assert_eq!(nodes(&first), ["a"]);
    assert!(Arc::ptr_eq(first.candidates(), second.candidates()), "the same list until something changes");
    registry.memory.register(&service("s", "2", "b"), TTL).await.unwrap();
    until("the new node is seen", async || nodes(&cache.get("s").await.unwrap()) == ["a", "b"]).await;
    registry.memory.deregister(&service("s", "1", "a")).await.unwrap();
    until("the old one goes", async || nodes(&cache.get("s").await.unwrap()) == ["b"]).await;
    assert_eq!(registry.gets.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hundred_first_callers_ask_once() {
    let (registry, cache) = with_one_node().await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.get("s").await.unwrap().candidates().len() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1);
    }
    assert_eq!((registry.gets.load(Ordering::SeqCst), registry.watches.load(Ordering::SeqCst)), (1, 1));
}

// features: C7, C6
#[tokio::test]
async fn while_the_registry_is_away_it_serves_what_it_knew_and_says_so() {
    let (registry, cache) = with_one_node().await;
    assert!(!cache.get("s").await.unwrap().is_stale());
    until("it watches", async || registry.watches.load(Ordering::SeqCst) == 1).await;
    // Let the watch get as far as waiting, where it notices the cut.
    tokio::time::sleep(Duration::from_millis(50)).await;
    registry.cut();
    until("it is stale", async || cache.get("s").await.unwrap().is_stale()).await;
    let known = cache.get("s").await.unwrap();
    assert_eq!(nodes(&known), ["a"]);
    registry.memory.register(&service("s", "1", "b"), TTL).await.unwrap();
    registry.heal();
    until("it is back, with what changed meanwhile", async || {
        let known = cache.get("s").await.unwrap();
        !known.is_stale() && nodes(&known) == ["a", "b"]
    })
    .await;
    assert_eq!(cache.get("s").await.unwrap().age(), Duration::ZERO);
}

/// A cache that knows the node `a`, and a registry that has gone away since.
async fn cut_off() -> (Arc<Flaky>, Arc<Cache>) {
    let (registry, cache) = with_one_node().await;
    cache.get("s").await.unwrap();
    until("it watches", async || registry.watches.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    registry.cut();
    until("it is stale", async || cache.get("s").await.unwrap().is_stale()).await;
    (registry, cache)
}

async fn is_back(cache: &Cache) -> Known {
    until("the registry is back", async || !cache.get("s").await.unwrap().is_stale()).await;
    cache.get("s").await.unwrap()
}

// features: C6, C7
#[tokio::test(start_paused = true)]
async fn nodes_that_a_registry_forgot_in_an_outage_have_half_a_minute_to_register_again() {
    let (registry, cache) = cut_off().await;
    registry.memory.deregister(&service("s", "1", "a")).await.unwrap();
    registry.memory.register(&service("s", "1", "b"), TTL * 10).await.unwrap();
    registry.heal();
    assert_eq!(nodes(&is_back(&cache).await), ["b"], "what still lists a node has lost nothing");

    registry.cut();
    until("it is stale", async || cache.get("s").await.unwrap().is_stale()).await;
    registry.memory.deregister(&service("s", "1", "b")).await.unwrap();
    registry.heal();
    assert_eq!(nodes(&is_back(&cache).await), ["b"]);
    registry.memory.register(&service("s", "1", "c"), TTL * 10).await.unwrap();
    until("the new one is known", async || nodes(&cache.get("s").await.unwrap()) == ["b", "c"]).await;
    tokio::time::sleep(Duration::from_secs(33)).await;
    assert_eq!(nodes(&cache.get("s").await.unwrap()), ["b", "c"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(nodes(&cache.get("s").await.unwrap()), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_node_that_registers_again_stays_and_goes_as_any_other() {
    let (registry, cache) = cut_off().await;
    registry.memory.deregister(&service("s", "1", "a")).await.unwrap();
    registry.heal();
    assert_eq!(nodes(&is_back(&cache).await), ["a"]);
    registry.memory.register(&service("s", "1", "a"), TTL * 10).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(nodes(&cache.get("s").await.unwrap()), ["a"]);
    registry.memory.deregister(&service("s", "1", "a")).await.unwrap();
    until("it is gone", async || cache.get("s").await.unwrap().candidates().is_empty()).await;
}

#[tokio::test]
async fn when_nothing_was_known_an_absent_registry_is_an_error_and_a_later_call_works() {
    let (registry, cache) = with_one_node().await;
    registry.cut();
    let error = cache.get("s").await.unwrap_err();
    assert!(error.to_string().contains("cut off") && error.context("service") == Some("s"), "{error}");
    registry.heal();
    assert_eq!(nodes(&cache.get("s").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_service_that_comes_later_is_found() {
    let (registry, cache) = with_one_node().await;
    assert!(cache.get("later").await.unwrap().candidates().is_empty());
    registry.memory.register(&service("later", "1", "x"), TTL).await.unwrap();
    until("it is found", async || nodes(&cache.get("later").await.unwrap()) == ["x"]).await;
}

#[tokio::test]
async fn an_unused_service_is_forgotten_with_its_watch_and_so_is_everything_with_the_cache() {
    let (registry, _) = with_one_node().await;
    let cache = Cache::with_limits(Arc::clone(&registry) as Arc<dyn Registry>, Duration::from_millis(150), 10);
    cache.get("s").await.unwrap();
    until("it watches", async || registry.watches.load(Ordering::SeqCst) == 1).await;
    until("it is forgotten", async || cache.services().is_empty()).await;
    until("the watch ended", async || registry.watches.load(Ordering::SeqCst) == 0).await;
    cache.get("s").await.unwrap();
    until("it watches again", async || registry.watches.load(Ordering::SeqCst) == 1).await;
    drop(cache);
    until("the watch ended with the cache", async || registry.watches.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn no_more_services_are_watched_than_the_limit() {
    let (registry, _) = with_one_node().await;
    let cache = Cache::with_limits(Arc::clone(&registry) as Arc<dyn Registry>, TTL, 3);
    for name in ["a", "b", "c", "d", "e"] {
        cache.get(name).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let names: Vec<_> = cache.services().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["c", "d", "e"], "those unused longest went");
    until("their watches ended", async || registry.watches.load(Ordering::SeqCst) == 3).await;
}

#[test]
fn a_watch_whose_runtime_ended_is_begun_anew_by_the_next_caller() {
    let registry = Arc::new(Flaky::default());
    let cache = Arc::new(Cache::new(Arc::clone(&registry) as Arc<dyn Registry>));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async {
        registry.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
        assert_eq!(nodes(&cache.get("s").await.unwrap()), ["a"]);
    });
    runtime().block_on(async {
        registry.memory.register(&service("s", "1", "b"), TTL).await.unwrap();
        assert_eq!(nodes(&cache.get("s").await.unwrap()), ["a", "b"], "what it missed is asked for");
        registry.memory.register(&service("s", "1", "c"), TTL).await.unwrap();
        until("it watches again", async || nodes(&cache.get("s").await.unwrap()) == ["a", "b", "c"]).await;
    });
}
