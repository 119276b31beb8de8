use std::time::Duration;

use micro_core::broker::{Broker, Delivery, Memory, Message, Queue, SubscribeOptions, Subscription, Topic};

/// The limit for what must happen, and the time for which what must not happen is watched.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
pub(crate) const QUIET: Duration = Duration::from_millis(300);

pub(crate) async fn connected() -> Memory {
    let broker = Memory::new();
    broker.connect().await.unwrap();
    broker
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(crate) fn of(queue: &str) -> SubscribeOptions {
    SubscribeOptions::new().queue(Queue::new(queue).unwrap())
}

pub(crate) async fn publish(broker: &Memory, topic: &Topic, bodies: impl IntoIterator<Item = impl ToString>) {
    let messages = bodies.into_iter().map(|body| Message::new(body.to_string())).collect();
    broker.publish(topic, messages).all().await.unwrap();
}

pub(crate) async fn next(subscription: &mut Box<dyn Subscription>, max: usize) -> Vec<Delivery> {
    tokio::time::timeout(LIMIT, subscription.next(max))
        .await
        .expect("a delivery must come within the limit")
        .unwrap()
        .expect("the subscription must be live")
}

pub(crate) async fn one(subscription: &mut Box<dyn Subscription>) -> Delivery {
    next(subscription, 1).await.remove(0)
}

/// Takes so many deliveries without settling them.
pub(crate) async fn hold(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<Delivery> {
    let mut held = Vec::new();
    while held.len() < count {
        held.extend(next(subscription, count - held.len()).await);
    }
    held
}

/// Takes and acknowledges so many deliveries, and returns their bodies.
pub(crate) async fn drain(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        for delivery in next(subscription, count - bodies.len()).await {
            bodies.push(text(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    bodies
}

pub(crate) async fn silent(subscription: &mut Box<dyn Subscription>) {
    let answer = tokio::time::timeout(QUIET, subscription.next(1)).await;
    assert!(answer.is_err(), "nothing may come, but there was {answer:?}");
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body().to_vec()).unwrap()
}

pub(crate) fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}
