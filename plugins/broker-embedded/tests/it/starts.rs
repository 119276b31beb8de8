use std::time::{Duration, SystemTime};

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Position, Queue, Start, SubscribeOptions};

use crate::desk::{Desk, ack, bodies, nothing, settle, take, texts};

fn from(start: Start) -> SubscribeOptions {
    SubscribeOptions::new().start(start)
}

// features: E3
#[tokio::test]
async fn a_subscriber_begins_at_the_latest_and_a_queue_at_the_earliest() {
    let desk = Desk::open().await;
    desk.publish(0..10).await;
    let (mut all, mut queue) = (desk.subscribe(SubscribeOptions::new()).await, desk.queue("q").await);
    desk.publish(10..12).await;
    assert_eq!(settle(&mut all, 2).await, texts(10..12));
    assert_eq!(settle(&mut queue, 12).await, texts(0..12));
}

// features: E3
#[tokio::test]
async fn a_start_may_be_earliest_latest_a_time_or_a_position() {
    let desk = Desk::open_with("?partitions=3").await;
    desk.publish(0..10).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let noon = SystemTime::now();
    desk.publish(10..20).await;
    for (queue, start, expected) in [
        ("a", Start::Earliest, texts(0..20)),
        ("b", Start::Time(noon), texts(10..20)),
        ("c", Start::Latest, texts(20..21)),
    ] {
        let queue = Queue::new(queue).unwrap();
        for options in [from(start), from(start).queue(queue)] {
            let mut subscription = desk.subscribe(options).await;
            if start == Start::Latest {
                desk.publish([20]).await;
            }
            assert_eq!(settle(&mut subscription, expected.len()).await, expected, "{start:?}");
        }
    }
    let position = Message::new("here").partition(2);
    let receipt = desk.broker.publish(&desk.topic, vec![position]).first().await.unwrap();
    desk.broker.publish(&desk.topic, vec![Message::new("next").partition(2)]).first().await.unwrap();
    let mut there = desk.subscribe(from(Start::At(receipt.position.unwrap()))).await;
    assert_eq!(settle(&mut there, 2).await, ["here", "next"]);
    nothing(&mut there).await;
}

#[tokio::test]
async fn a_queue_that_exists_goes_on_where_it_was_whatever_start_is_asked_for() {
    let desk = Desk::open().await;
    let options = || from(Start::Latest).queue(Queue::new("q").unwrap());
    drop(desk.subscribe(options()).await);
    desk.publish(0..5).await;
    let mut again = desk.subscribe(options()).await;
    assert_eq!(settle(&mut again, 5).await, texts(0..5));
}

// features: E3
#[tokio::test]
async fn a_subscription_seeks_back_and_forth() {
    let desk = Desk::open().await;
    for mut subscription in [desk.queue("q").await, desk.subscribe(from(Start::Earliest)).await] {
        let name = subscription.queue().is_some();
        if name {
            desk.publish(0..30).await;
        }
        let held = take(&mut subscription, 30).await;
        subscription.seek(Start::Earliest).await.unwrap();
        ack(held).await;
        assert_eq!(settle(&mut subscription, 30).await, texts(0..30), "{name}");
        subscription.seek(Start::Latest).await.unwrap();
        nothing(&mut subscription).await;
    }
}

#[tokio::test]
async fn an_unknown_position_is_an_error_and_the_old_one_stays() {
    let desk = Desk::open_with("?partitions=2").await;
    let mut queue = desk.queue("q").await;
    for (partition, offset, word) in [(0, 99, "the offsets 0 to 0"), (7, 0, "the partitions 0 to 1")] {
        let error = queue.seek(Start::At(Position::Offset { partition, offset })).await.unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains(word), "{error}");
    }
    let error = desk.broker.subscribe(&desk.topic, from(Start::At(Position::Sequence(1)))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    desk.publish(["x"]).await;
    assert_eq!(bodies(&take(&mut queue, 1).await), ["x"]);
}

#[tokio::test]
async fn a_paused_subscription_gets_nothing_until_it_resumes() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    queue.pause().await.unwrap();
    desk.publish(0..4).await;
    nothing(&mut queue).await;
    queue.resume().await.unwrap();
    assert_eq!(settle(&mut queue, 4).await, texts(0..4));
}
