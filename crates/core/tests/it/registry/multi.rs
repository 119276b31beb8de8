use std::sync::Arc;

use micro_core::registry::{Change, Multi, Registry};

use super::flaky::Flaky;
use super::*;

fn two() -> (Arc<Flaky>, Arc<Flaky>, Multi) {
    let (first, second) = (Arc::new(Flaky::default()), Arc::new(Flaky::default()));
    let multi = Multi::new(vec![Arc::clone(&first) as Arc<dyn Registry>, Arc::clone(&second) as Arc<dyn Registry>]);
    (first, second, multi)
}

#[tokio::test]
async fn a_node_is_registered_in_all_and_taken_out_of_all() {
    let (first, second, multi) = two();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    for one in [&first, &second] {
        assert_eq!(ids(&one.memory.get("s").await.unwrap()), ["a"]);
    }
    multi.deregister(&service("s", "1", "a")).await.unwrap();
    assert_eq!(multi.get("s").await.unwrap(), []);
}

#[tokio::test]
async fn only_the_failure_of_the_primary_is_an_error() {
    let (first, second, multi) = two();
    second.cut();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(multi.list().await.unwrap(), ["s"]);
    second.heal();
    first.cut();
    assert!(multi.register(&service("s", "1", "a"), TTL).await.is_err());
    assert_eq!(ids(&second.memory.get("s").await.unwrap()), ["a"], "the other has it all the same");
    assert_eq!(ids(&multi.get("s").await.unwrap()), ["a"], "and answers for it");
    assert!(multi.get("nobody").await.is_err(), "where nobody knows it, the failure shows");
}

#[tokio::test]
async fn the_primary_answers_if_it_can_else_the_others_do() {
    let (first, second, multi) = two();
    first.memory.register(&service("both", "1", "a"), TTL).await.unwrap();
    second.memory.register(&service("both", "1", "b"), TTL).await.unwrap();
    second.memory.register(&service("second", "1", "c"), TTL).await.unwrap();
    second.cut();
    assert_eq!(ids(&multi.get("both").await.unwrap()), ["a"], "without asking the other");
    second.heal();
    assert_eq!(ids(&multi.get("second").await.unwrap()), ["c"]);
    assert_eq!(multi.list().await.unwrap(), ["both", "second"]);
}

#[tokio::test]
async fn a_watch_begins_with_what_all_list_and_each_node_is_there_once() {
    let (first, second, multi) = two();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    second.memory.register(&service("s", "1", "go"), TTL).await.unwrap();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::State(all) if all.len() == 1 && ids(&all) == ["a", "go"]));
    second.memory.register(&service("s", "1", "go2"), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "go2")));
    // The other forgets a node that the primary lists: nothing happens.
    second.memory.deregister(&service("s", "1", "a")).await.unwrap();
    silent(&mut watch).await;
    first.memory.deregister(&service("s", "1", "a")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "a")));
}

#[tokio::test]
async fn what_the_primary_took_away_is_gone_though_another_still_lists_it() {
    let (first, second, multi) = two();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::State(_)));
    first.memory.deregister(&service("s", "1", "a")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "a")));
    // An announcement that comes late does not bring it back.
    let mut again = service("s", "1", "a");
    again.nodes[0].address = "127.0.0.1:81".to_owned();
    second.memory.register(&again, TTL).await.unwrap();
    silent(&mut watch).await;
    first.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "a")));
}

#[tokio::test]
async fn a_watch_goes_on_without_a_registry_that_fails_and_with_it_again_when_it_is_back() {
    let (first, second, multi) = two();
    second.cut();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    first.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "a")));
    second.memory.register(&service("s", "1", "go"), TTL).await.unwrap();
    second.heal();
    assert!(matches!(next(&mut watch).await, Change::State(all) if ids(&all) == ["a", "go"]));
}

#[tokio::test]
async fn its_name_is_the_primarys_and_its_address_names_all() {
    let (_, _, multi) = two();
    assert_eq!((multi.name(), multi.address().as_str()), ("flaky", "here and flaky here"));
}
