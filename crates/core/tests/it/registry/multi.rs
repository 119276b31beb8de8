use std::sync::Arc;

use micro_core::registry::{Change, Multi, Registry};

use super::flaky::Flaky;
use super::*;

fn two() -> (Arc<Flaky>, Arc<Flaky>, Multi) {
    let (first, second) = (Arc::new(Flaky::default()), Arc::new(Flaky::default()));
    let multi = Multi::new(vec![Arc::clone(&first) as Arc<dyn Registry>, Arc::clone(&second) as Arc<dyn Registry>]);
    (first, second, multi)
}

/// Cuts a registry off while somebody waits for a change, and returns what the wait gave within a moment.
async fn cut_amid_a_wait(one: &Flaky, watch: &mut Box<dyn Watch>) -> Option<micro_core::Result<Change>> {
    let wait = tokio::time::timeout(Duration::from_millis(500), watch.next());
    let cut = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        one.cut();
    };
    tokio::join!(wait, cut).0.ok()
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

#[tokio::test]
async fn a_version_move_that_all_tell_is_heard_of_once() {
    let (first, second, multi) = two();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![service("s", "1", "a")]));
    for (from, to) in [("1", "2"), ("2", "3")] {
        multi.register(&service("s", to, "a"), TTL).await.unwrap();
        assert_eq!(next(&mut watch).await, Change::Delete(service("s", from, "a")));
        assert_eq!(next(&mut watch).await, Change::Create(service("s", to, "a")));
        silent(&mut watch).await;
    }
    for one in [&first, &second] {
        assert_eq!(one.memory.get("s").await.unwrap(), [service("s", "3", "a")]);
    }
    // The old program stops late.
    multi.deregister(&service("s", "2", "a")).await.unwrap();
    silent(&mut watch).await;
    assert_eq!(multi.get("s").await.unwrap(), [service("s", "3", "a")]);
}

#[tokio::test]
async fn a_node_that_two_list_differently_is_as_the_primary_says() {
    let (first, second, multi) = two();
    let mut elsewhere = service("s", "1", "a");
    elsewhere.nodes[0].address = "127.0.0.1:81".to_owned();
    second.memory.register(&elsewhere, TTL).await.unwrap();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![elsewhere.clone()]));
    first.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Update(service("s", "1", "a")));
    // What the other says of it meanwhile is not heard, so that nothing flaps.
    for port in 82..85 {
        elsewhere.nodes[0].address = format!("127.0.0.1:{port}");
        second.memory.register(&elsewhere, TTL).await.unwrap();
    }
    silent(&mut watch).await;
}

#[tokio::test]
async fn a_primary_that_is_away_from_the_start_is_an_error_to_who_registers_and_none_to_who_looks() {
    let (first, second, multi) = two();
    first.cut();
    assert!(multi.register(&service("s", "1", "a"), TTL).await.is_err());
    assert_eq!(ids(&multi.get("s").await.unwrap()), ["a"]);
    assert!(multi.watch(Some("s")).await.is_err(), "who watches is told, and asks again");
    let cache = micro_core::registry::Cache::new(Arc::new(multi.clone()));
    assert_eq!(cache.get("s").await.unwrap().candidates().len(), 1);
    first.heal();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    for one in [&first, &second] {
        assert_eq!(ids(&one.memory.get("s").await.unwrap()), ["a"]);
    }
}

#[tokio::test]
async fn one_that_dies_and_comes_back_empty_takes_no_node_along() {
    let (first, second, multi) = two();
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![service("s", "1", "a")]));
    // The other.
    assert!(cut_amid_a_wait(&second, &mut watch).await.is_none(), "nothing is heard of it");
    second.memory.deregister(&service("s", "1", "a")).await.unwrap();
    second.heal();
    assert_eq!(ids(&multi.get("s").await.unwrap()), ["a"]);
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(ids(&second.memory.get("s").await.unwrap()), ["a"], "the next heart-beat brings it there again");
    // The primary: the watch ends, and the next one begins with what the other lists.
    let ended = cut_amid_a_wait(&first, &mut watch).await.expect("the watch must end");
    assert!(ended.is_err(), "{ended:?}");
    first.memory.deregister(&service("s", "1", "a")).await.unwrap();
    first.heal();
    assert_eq!(ids(&multi.get("s").await.unwrap()), ["a"]);
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![service("s", "1", "a")]));
    multi.register(&service("s", "1", "a"), TTL).await.unwrap();
    silent(&mut watch).await;
    assert_eq!(ids(&first.memory.get("s").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn what_another_tells_late_of_a_node_that_is_gone_is_not_told() {
    let (first, second, multi) = two();
    let mut watch = multi.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    first.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    first.memory.deregister(&service("s", "1", "a")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "a")));
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "a")));
    second.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    silent(&mut watch).await;
    second.memory.deregister(&service("s", "1", "a")).await.unwrap();
    silent(&mut watch).await;
    first.memory.register(&service("s", "1", "a"), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "a")));
}
