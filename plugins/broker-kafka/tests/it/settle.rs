use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Reason, Settle, Settlement};

use crate::world::{broker, handle, member, nothing, queue, take, text, texts, topic, within};

// features: D15
#[tokio::test]
async fn what_is_settled_does_not_come_again_and_what_is_not_does_also_out_of_order() {
    let first = broker().await;
    let (topic, queue) = (topic("settled"), queue("q"));
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    let messages = (0..10).map(|i| Message::new(format!("m{i}")).partition(0)).collect();
    within("receipts", first.publish(&topic, messages).all()).await.unwrap();
    let mut held = Vec::new();
    for delivery in take(&mut *one, 10).await {
        match text(&delivery).as_str() {
            "m2" | "m5" => held.push(delivery),
            _ => within("ack", delivery.ack()).await.unwrap(),
        }
    }
    // It goes with two in its hands.
    within("disconnect", first.disconnect()).await.unwrap();
    assert_eq!(held.remove(0).ack().await.unwrap_err().kind(), Kind::Conflict);
    drop(held);

    let second = broker().await;
    let mut two = second.subscribe(&topic, member(&queue)).await.unwrap();
    assert_eq!(handle(&mut *two, 2).await, ["m2", "m5"]);
    nothing(&mut *two).await;
    second.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_retry_comes_after_its_pause_with_its_count_and_holds_up_nobody() {
    let broker = broker().await;
    let (topic, queue) = (topic("retry"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    let messages = vec![Message::new("bad").partition(0), Message::new("good").partition(0)];
    within("receipts", broker.publish(&topic, messages).all()).await.unwrap();
    let bad = take(&mut *one, 1).await.remove(0);
    let began = Instant::now();
    within("retry", bad.retry(Duration::from_millis(800))).await.unwrap();
    assert_eq!(handle(&mut *one, 1).await, ["good"]);
    assert!(began.elapsed() < Duration::from_millis(800), "it was held up");
    let again = take(&mut *one, 1).await.remove(0);
    assert!(began.elapsed() >= Duration::from_millis(800));
    assert_eq!((text(&again).as_str(), again.attempts()), ("bad", 1));
    within("reject", again.reject(Reason::Failed)).await.unwrap();
    nothing(&mut *one).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn the_failure_count_survives_the_member() {
    let first = broker().await;
    let (topic, queue) = (topic("count"), queue("q"));
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipt", first.publish(&topic, texts("m", 1)).all()).await.unwrap();
    for attempts in 0..3 {
        let delivery = take(&mut *one, 1).await.remove(0);
        assert_eq!(delivery.attempts(), attempts);
        within("retry", delivery.retry(Duration::ZERO)).await.unwrap();
    }
    within("disconnect", first.disconnect()).await.unwrap();
    let second = broker().await;
    let mut two = second.subscribe(&topic, member(&queue)).await.unwrap();
    let delivery = take(&mut *two, 1).await.remove(0);
    assert_eq!(delivery.attempts(), 3);
    delivery.ack().await.unwrap();
    second.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_is_dropped_or_released_comes_again_and_counts_as_no_failure() {
    let broker = broker().await;
    let (topic, queue) = (topic("dropped"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipt", broker.publish(&topic, texts("m", 1)).all()).await.unwrap();
    drop(take(&mut *one, 1).await);
    let delivery = take(&mut *one, 1).await.remove(0);
    assert_eq!(delivery.attempts(), 0);
    within("release", delivery.release()).await.unwrap();
    assert_eq!(handle(&mut *one, 1).await, ["m0"]);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_token_settles_once_and_the_second_time_is_a_conflict() {
    let broker = broker().await;
    let (topic, queue) = (topic("twice"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipt", broker.publish(&topic, texts("m", 1)).all()).await.unwrap();
    let parts = take(&mut *one, 1).await.remove(0).into_parts();
    let twice = vec![Settlement::new(parts.token, Settle::Ack, 0), Settlement::new(parts.token, Settle::Ack, 0)];
    let results = within("outcome", parts.origin.settler.settle(twice)).await;
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind(), Kind::Conflict);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn no_more_is_out_than_may_be_in_flight() {
    let broker = broker().await;
    let (topic, queue) = (topic("flight"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue).in_flight(3)).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 20)).all()).await.unwrap();
    let mut held = take(&mut *one, 3).await;
    nothing(&mut *one).await;
    for _ in 0..17 {
        held.remove(0).ack().await.unwrap();
        held.extend(take(&mut *one, 1).await);
        assert!(held.len() <= 3);
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_was_dropped_lets_its_deliveries_be_settled() {
    let first = broker().await;
    let (topic, queue) = (topic("leave"), queue("q"));
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipts", first.publish(&topic, texts("m", 2)).all()).await.unwrap();
    let held = take(&mut *one, 2).await;
    drop(one);
    for delivery in held {
        within("ack", delivery.ack()).await.unwrap();
    }
    let mut two = first.subscribe(&topic, member(&queue)).await.unwrap();
    nothing(&mut *two).await;
    first.disconnect().await.unwrap();
}
