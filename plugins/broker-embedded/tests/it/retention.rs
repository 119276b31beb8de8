use std::time::Duration;

use micro_core::broker::{Broker, Message, Start, SubscribeOptions};

use crate::desk::{Desk, settle, take, until};

#[tokio::test]
async fn a_topic_keeps_no_more_than_its_size_and_offsets_go_on() {
    let desk = Desk::open_with("?partitions=1&retain_mb=1").await;
    for round in 0..40 {
        let messages = (0..100).map(|n| Message::new(format!("{:>1000}", round * 100 + n))).collect();
        desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    }
    let mut all = desk.subscribe(SubscribeOptions::new().start(Start::Earliest).in_flight(8000)).await;
    let mut kept = Vec::new();
    while kept.last().is_none_or(|last: &String| last.trim() != "3999") {
        kept.extend(settle(&mut all, 1).await);
    }
    // One megabyte, and a sixteenth that may gather before it is looked at.
    assert!((800..1200).contains(&kept.len()), "{} kept", kept.len());
    let first: usize = kept[0].trim().parse().unwrap();
    assert_eq!(first + kept.len(), 4000, "the newest are kept, without a gap");
}

#[tokio::test]
async fn messages_go_when_they_are_too_old_and_offsets_are_not_given_twice() {
    let desk = Desk::open_with("?partitions=1&retain_hours=0.0001").await;
    desk.publish(0..10).await;
    until("they are gone", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let error = desk.broker.publish(&desk.topic, vec![]).all().await.is_err();
        desk.publish(["tick"]).await;
        let start = Start::At(micro_core::broker::Position::Offset { partition: 0, offset: 0 });
        !error && desk.broker.subscribe(&desk.topic, SubscribeOptions::new().start(start)).await.is_err()
    })
    .await;
    let receipt = desk.broker.publish(&desk.topic, vec![Message::new("x")]).first().await.unwrap();
    assert!(receipt.position.unwrap() > micro_core::broker::Position::Offset { partition: 0, offset: 10 });
}

#[tokio::test]
async fn a_queue_that_fell_behind_goes_on_with_the_oldest_that_is_kept() {
    let desk = Desk::open_with("?partitions=1&retain_mb=0.1").await;
    let queue = desk.queue("q").await;
    drop(queue);
    for round in 0..30 {
        let messages = (0..20).map(|n| Message::new(format!("{:>1000}", round * 20 + n))).collect();
        desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    }
    let mut queue = desk.queue("q").await;
    let first = take(&mut queue, 1).await.remove(0);
    assert!(String::from_utf8_lossy(first.body()).trim().parse::<u32>().unwrap() > 100);
    first.ack().await.unwrap();
    let mut last = String::new();
    while last.trim() != "599" {
        let next = take(&mut queue, 1).await.remove(0);
        last = String::from_utf8_lossy(next.body()).into_owned();
        next.ack().await.unwrap();
    }
}
