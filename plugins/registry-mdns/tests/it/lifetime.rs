use std::time::Duration;

use micro_core::registry::{Change, Registry};

use super::group::*;

// features: C4, C5
#[tokio::test]
async fn a_node_that_is_not_refreshed_says_farewell_when_its_time_is_over() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let mut watch = b.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    a.register(&service("s", "1", "s-a", 1), Duration::from_millis(1_500)).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Create(_)));
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        a.register(&service("s", "1", "s-a", 1), Duration::from_millis(1_500)).await.unwrap();
    }
    assert_eq!(b.get("s").await.unwrap().len(), 1, "refreshed, it stays beyond its first time to live");
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "s-a", 1)));
    assert_eq!(a.get("s").await.unwrap(), []);
}

#[tokio::test]
async fn a_node_that_answers_no_more_is_gone_after_three_questions() {
    let group = Group::new();
    let b = group.registry();
    let mut watch = b.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    // Announced by somebody who never answers, with a long time to live.
    let silent = super::wire::announce_and_be_silent(&group);
    assert_eq!(next(&mut watch).await, Change::Create(silent.clone()));
    assert_eq!(next(&mut watch).await, Change::Delete(silent));
}

#[tokio::test]
async fn the_last_handle_takes_its_nodes_away() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let mut watch = b.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    let other = a.clone();
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Create(_)));
    drop(a);
    assert_eq!(other.get("s").await.unwrap().len(), 1);
    drop(other);
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "s-a", 1)));
}

#[tokio::test]
async fn deregistering_what_is_not_there_is_no_error_and_leaves_the_others() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    a.deregister(&service("s", "1", "s-a", 1)).await.unwrap();
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    a.deregister(&service("s", "1", "s-b", 1)).await.unwrap();
    until("it is still there", async || ids(&b.get("s").await.unwrap()) == ["s-a"]).await;
}

#[test]
fn it_outlives_the_runtime_that_used_it_first() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(a.register(&service("s", "1", "s-a", 1), TTL)).unwrap();
    runtime().block_on(async {
        until("it still answers", async || ids(&b.get("s").await.unwrap()) == ["s-a"]).await;
        assert_eq!(ids(&a.get("s").await.unwrap()), ["s-a"]);
    });
}
