use std::time::{Duration, SystemTime};

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Position, Start, SubscribeOptions};

use crate::world::{address, broker_at, handle, member, nothing, queue, texts, topic, within};

fn at(offset: u64) -> Start {
    Start::At(Position::Offset { partition: 0, offset })
}

// features: D15
#[tokio::test]
async fn a_subscription_begins_at_earliest_latest_an_offset_or_a_time() {
    let broker = broker_at(&address("&partitions=1")).await;
    let topic = topic("starts");
    within("receipts", broker.publish(&topic, texts("old", 3)).all()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let between = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(30)).await;
    within("receipts", broker.publish(&topic, texts("new", 2)).all()).await.unwrap();

    for queued in [false, true] {
        for (start, expected) in [
            (Start::Earliest, &["old0", "old1", "old2", "new0", "new1"][..]),
            (at(2), &["old2", "new0", "new1"]),
            (Start::Time(between), &["new0", "new1"]),
            (Start::Latest, &[]),
            (Start::Time(SystemTime::now() + Duration::from_secs(3600)), &[]),
            (at(5), &[]),
        ] {
            let mut options = if queued { member(&queue("q")) } else { SubscribeOptions::new() };
            options = options.start(start);
            let mut subscription = within("subscription", broker.subscribe(&topic, options)).await.unwrap();
            assert_eq!(handle(&mut *subscription, expected.len()).await, expected, "{start:?} queued {queued}");
            nothing(&mut *subscription).await;
        }
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_not_there_is_said_to_be_none() {
    let broker = broker_at(&address("&partitions=1")).await;
    let topic = topic("nowhere");
    within("receipts", broker.publish(&topic, texts("m", 3)).all()).await.unwrap();
    let other = Start::At(Position::Offset { partition: 9, offset: 0 });
    for (start, text) in [(at(7), "keeps the offsets 0 to 3, not 7"), (other, "has 1 partitions")] {
        for options in [SubscribeOptions::new(), member(&queue("q"))] {
            let subscribed = within("answer", broker.subscribe(&topic, options.start(start))).await;
            let error = subscribed.unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn where_a_queue_began_holds_for_those_who_come_after() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("first"), queue("q"));
    within("receipts", broker.publish(&topic, texts("old", 3)).all()).await.unwrap();
    let one = broker.subscribe(&topic, member(&queue).start(Start::Latest)).await.unwrap();
    // It leaves without having seen a message: what comes now is still the queue's.
    within("unsubscribe", one.unsubscribe()).await.unwrap();
    within("receipts", broker.publish(&topic, texts("new", 2)).all()).await.unwrap();
    for start in [Start::Latest, Start::Earliest] {
        let mut next = broker.subscribe(&topic, member(&queue).start(start)).await.unwrap();
        if start == Start::Latest {
            assert_eq!(handle(&mut *next, 2).await, ["new0", "new1"]);
        }
        nothing(&mut *next).await;
        within("unsubscribe", next.unsubscribe()).await.unwrap();
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn seeking_replays_and_what_is_out_may_still_be_settled() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("seek"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 4)).all()).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await.len(), 3);
    let held = crate::world::take(&mut *one, 1).await.remove(0);
    within("seek", one.seek(at(1))).await.unwrap();
    within("ack", held.ack()).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await, ["m1", "m2", "m3"]);
    let error = within("seek", one.seek(at(99))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    nothing(&mut *one).await;
    within("seek", one.seek(Start::Earliest)).await.unwrap();
    assert_eq!(handle(&mut *one, 4).await, ["m0", "m1", "m2", "m3"]);
    // It is where the queue goes on.
    within("seek", one.seek(at(3))).await.unwrap();
    within("unsubscribe", one.unsubscribe()).await.unwrap();
    let mut two = broker.subscribe(&topic, member(&queue)).await.unwrap();
    assert_eq!(handle(&mut *two, 1).await, ["m3"]);
    within("seek", two.seek(Start::Latest)).await.unwrap();
    nothing(&mut *two).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_paused_subscription_is_silent_and_stays_a_member() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("pause"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    one.pause().await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 3)).all()).await.unwrap();
    // Longer than the session, which its thread keeps alive.
    let quiet = Duration::from_secs(8);
    assert!(tokio::time::timeout(quiet, one.next(3)).await.is_err(), "it is not silent");
    one.resume().await.unwrap();
    assert_eq!(handle(&mut *one, 3).await, ["m0", "m1", "m2"]);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn partitions_that_are_added_are_read_too() {
    let broker = broker_at(&address("&partitions=1")).await;
    let topic = topic("grow");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let mut one = broker.subscribe(&topic, member(&queue("q"))).await.unwrap();
    crate::raw::add_partitions(&topic, 3).await;
    // A publisher that learns of them at once.
    let other = broker_at(&address("")).await;
    for partition in 0..3 {
        let message = vec![Message::new(format!("p{partition}")).partition(partition)];
        within("receipt", other.publish(&topic, message).first()).await.unwrap();
    }
    for subscription in [&mut all, &mut one] {
        let mut bodies = handle(&mut **subscription, 3).await;
        bodies.sort();
        assert_eq!(bodies, ["p0", "p1", "p2"]);
    }
    broker.disconnect().await.unwrap();
    other.disconnect().await.unwrap();
}
