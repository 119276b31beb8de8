//! Pauses that are too long to wait in place.

use std::time::{Duration, SystemTime};

use micro_core::broker::{Broker, Message, Start, SubscribeOptions};

use crate::world::{address, broker_at, handle, member, nothing, queue, take, text, texts, topic, until, within};

#[tokio::test]
async fn a_long_pause_goes_round_by_the_retry_topic_with_all_that_it_had() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("long"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    let message = Message::new("bad").key("k").header("A", "1").header("Content-Type", "text/plain");
    within("receipt", broker.publish(&topic, vec![message.clone()]).all()).await.unwrap();
    let bad = take(&mut *one, 1).await.remove(0);
    let (id, position, published) = (bad.id().clone(), bad.position(), bad.published());
    let before = SystemTime::now();
    within("retry", bad.retry(Duration::from_secs(31))).await.unwrap();
    // The original is settled as soon as its copy is there: the watermark goes on.
    until("the watermark", || crate::raw::committed(&topic, queue.as_str(), 0).0 == Some(1)).await;
    let mut copies =
        broker.subscribe(&topic.retry(&queue), SubscribeOptions::new().start(Start::Earliest)).await.unwrap();
    let copy = take(&mut *copies, 1).await.remove(0);
    assert_eq!((copy.body(), copy.key()), (&message.body, message.key.as_ref()));
    copy.ack().await.unwrap();

    // Another member takes it up, when it is due and not before.
    within("unsubscribe", one.unsubscribe()).await.unwrap();
    let mut two = broker.subscribe(&topic, member(&queue)).await.unwrap();
    let again = take(&mut *two, 1).await.remove(0);
    let waited = before.elapsed().unwrap();
    assert!(waited >= Duration::from_secs(31) && waited < Duration::from_secs(40), "{waited:?}");
    assert_eq!(again.headers(), &message.headers);
    assert_eq!((again.key(), again.body()), (message.key.as_ref(), &message.body));
    assert_eq!((again.id(), again.attempts(), again.position()), (&id, 1, position));
    assert_eq!((again.topic(), again.published()), (&topic, published));
    within("ack", again.ack()).await.unwrap();
    nothing(&mut *two).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn members_that_are_there_already_hear_of_the_retry_topic() {
    let (topic, queue) = (topic("late"), queue("q"));
    let (first, second) = (broker_at(&address("&partitions=2")).await, broker_at(&address("&partitions=2")).await);
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    let mut two = second.subscribe(&topic, member(&queue)).await.unwrap();
    let messages = (0..2).map(|p| Message::new(format!("m{p}")).partition(p)).collect();
    within("receipts", first.publish(&topic, messages).all()).await.unwrap();
    // Whoever has them sends both round.
    let mut sent = 0;
    while sent < 2 {
        let more = tokio::select! {
            more = one.next(2) => more.unwrap().unwrap(),
            more = two.next(2) => more.unwrap().unwrap(),
            () = tokio::time::sleep(crate::world::LIMIT) => panic!("only {sent}"),
        };
        for delivery in more {
            within("retry", delivery.retry(Duration::from_secs(31))).await.unwrap();
            sent += 1;
        }
    }
    // Both come back, to whichever member.
    let mut back = Vec::new();
    while back.len() < 2 {
        let more = tokio::select! {
            more = one.next(2) => more.unwrap().unwrap(),
            more = two.next(2) => more.unwrap().unwrap(),
            () = tokio::time::sleep(crate::world::LIMIT) => panic!("only {back:?}"),
        };
        for delivery in more {
            assert_eq!(delivery.attempts(), 1);
            back.push(text(&delivery));
            within("ack", delivery.ack()).await.unwrap();
        }
    }
    back.sort();
    assert_eq!(back, ["m0", "m1"]);
    first.disconnect().await.unwrap();
    second.disconnect().await.unwrap();
}

#[tokio::test]
async fn what_waits_at_the_head_of_a_full_window_goes_round_and_the_rest_goes_on() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("window"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    for part in 0..3 {
        within("receipts", broker.publish(&topic, texts(&format!("{part}-"), 4000)).all()).await.unwrap();
    }
    let bad = take(&mut *one, 1).await.remove(0);
    within("retry", bad.retry(Duration::from_secs(29))).await.unwrap();
    // Far more than a window holds; without the way round it would stop at 8,192.
    let mut last = String::new();
    for count in [vec![1000; 11], vec![999]].concat() {
        let deliveries = take(&mut *one, count).await;
        last = text(&deliveries[count - 1]);
        let acks = deliveries.into_iter().map(micro_core::broker::Delivery::ack);
        within("acks", futures_util::future::try_join_all(acks)).await.unwrap();
    }
    assert_eq!(last, "2-3999");
    let back = take(&mut *one, 1).await.remove(0);
    assert_eq!((text(&back).as_str(), back.attempts()), ("0-0", 1));
    within("ack", back.ack()).await.unwrap();
    until("the watermark", || crate::raw::committed(&topic, queue.as_str(), 0) == (Some(12_000), String::new())).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn in_strict_order_it_waits_in_its_place_however_long() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("strict"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue).ordered()).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 3)).all()).await.unwrap();
    let first = take(&mut *one, 1).await.remove(0);
    within("retry", first.retry(Duration::from_secs(2))).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await, ["m0", "m1", "m2"]);
    broker.disconnect().await.unwrap();
}
