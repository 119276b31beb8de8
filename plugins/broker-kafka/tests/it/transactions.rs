//! Consume, process, produce: exactly once.

use std::time::Duration;

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Start, SubscribeOptions};

use crate::world::{address, broker_at, handle, member, nothing, queue, take, text, texts, topic, within};

#[tokio::test]
async fn a_commit_shows_all_and_settles_all_and_an_abort_nothing() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (from, to, queue) = (topic("from"), topic("to"), queue("q"));
    let mut input = broker.subscribe(&from, member(&queue)).await.unwrap();
    let mut output = broker.subscribe(&to, SubscribeOptions::new()).await.unwrap();
    within("receipts", broker.publish(&from, texts("m", 4)).all()).await.unwrap();

    let mut aborted = within("begin", broker.transaction()).await.unwrap();
    let taken = take(&mut *input, 2).await;
    within("receipts", aborted.publish(&to, texts("aborted", 2)).all()).await.unwrap();
    aborted.settle(taken).unwrap();
    within("abort", aborted.abort()).await.unwrap();
    nothing(&mut *output).await;

    let mut committed = within("begin", broker.transaction()).await.unwrap();
    let taken = take(&mut *input, 4).await;
    let mut bodies: Vec<_> = taken.iter().map(text).collect();
    bodies.sort();
    assert_eq!(bodies, ["m0", "m1", "m2", "m3"], "what was aborted comes again");
    assert!(taken.iter().all(|delivery| delivery.attempts() == 0), "an abort is no failure");
    within("receipts", committed.publish(&to, texts("committed", 2)).all()).await.unwrap();
    committed.settle(taken).unwrap();
    nothing(&mut *output).await;
    within("commit", committed.commit()).await.unwrap();
    assert_eq!(handle(&mut *output, 2).await, ["committed0", "committed1"]);
    assert_eq!(crate::raw::committed(&from, queue.as_str(), 0).0, Some(4));

    // The next member has nothing to do again.
    within("unsubscribe", input.unsubscribe()).await.unwrap();
    let mut next = broker.subscribe(&from, member(&queue)).await.unwrap();
    nothing(&mut *next).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_reader_of_committed_messages_sees_no_aborted_one_ever() {
    let broker = broker_at(&address("&partitions=1")).await;
    let to = topic("to");
    for round in 0..4 {
        let mut one = within("begin", broker.transaction()).await.unwrap();
        let receipts = one.publish(&to, texts(&format!("{round}-"), 50));
        within("receipts", receipts.all()).await.unwrap();
        match round % 2 {
            0 => within("commit", one.commit()).await.unwrap(),
            // Dropped, it is aborted.
            _ => drop(one),
        }
    }
    let options = SubscribeOptions::new().start(Start::Earliest);
    let mut all = broker.subscribe(&to, options).await.unwrap();
    let bodies = handle(&mut *all, 100).await;
    assert!(bodies[..50].iter().all(|body| body.starts_with("0-")));
    assert!(bodies[50..].iter().all(|body| body.starts_with("2-")));
    nothing(&mut *all).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_refused_undoes_everything() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (from, to, queue) = (topic("from"), topic("to"), queue("q"));
    let mut input = broker.subscribe(&from, member(&queue)).await.unwrap();
    let mut output = broker.subscribe(&to, SubscribeOptions::new()).await.unwrap();
    within("receipt", broker.publish(&from, texts("m", 1)).all()).await.unwrap();
    let mut one = within("begin", broker.transaction()).await.unwrap();
    let messages = vec![Message::new("good"), Message::new("bad").header("x", "a\nb")];
    assert!(within("receipts", one.publish(&to, messages)).await[1].is_err());
    one.settle(take(&mut *input, 1).await).unwrap();
    let error = within("commit", one.commit()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition, "{error}");
    nothing(&mut *output).await;
    assert_eq!(handle(&mut *input, 1).await, ["m0"]);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn what_is_of_no_queue_of_this_broker_is_refused_and_comes_again() {
    let (broker, other) = (broker_at(&address("&partitions=1")).await, broker_at(&address("")).await);
    let from = topic("from");
    let mut all = broker.subscribe(&from, SubscribeOptions::new()).await.unwrap();
    let mut theirs = other.subscribe(&from, member(&queue("q"))).await.unwrap();
    within("receipt", broker.publish(&from, texts("m", 1)).all()).await.unwrap();
    let mut one = within("begin", broker.transaction()).await.unwrap();
    for subscription in [&mut all, &mut theirs] {
        let taken = take(&mut **subscription, 1).await;
        assert_eq!(one.settle(taken).unwrap_err().kind(), Kind::InvalidArgument);
        assert_eq!(handle(&mut **subscription, 1).await, ["m0"]);
    }
    within("abort", one.abort()).await.unwrap();
    broker.disconnect().await.unwrap();
    other.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_member_that_lost_its_partition_commits_nothing() {
    let (first, second) = (broker_at(&address("&partitions=1")).await, broker_at(&address("&partitions=1")).await);
    let (from, to, queue) = (topic("from"), topic("to"), queue("q"));
    let mut input = first.subscribe(&from, member(&queue)).await.unwrap();
    let mut output = second.subscribe(&to, SubscribeOptions::new()).await.unwrap();
    within("receipt", first.publish(&from, texts("m", 1)).all()).await.unwrap();
    let taken = take(&mut *input, 1).await;
    let mut one = within("begin", first.transaction()).await.unwrap();
    within("receipt", one.publish(&to, texts("out", 1)).all()).await.unwrap();
    one.settle(taken).unwrap();
    // The queue goes to another member while the transaction is open.
    drop(within("unsubscribe", input.unsubscribe()).await);
    let mut next = within("subscription", second.subscribe(&from, member(&queue))).await.unwrap();
    assert_eq!(within("delivery", next.next(1)).await.unwrap().unwrap().len(), 1);
    let error = within("commit", one.commit()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Conflict | Kind::Closed), "{error}");
    assert!(tokio::time::timeout(Duration::from_millis(700), output.next(1)).await.is_err());
    first.disconnect().await.unwrap();
    second.disconnect().await.unwrap();
}
