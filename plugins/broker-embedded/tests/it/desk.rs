//! A broker on a folder of its own, and short words for what the tests do with it.

use std::time::Duration;

use micro_broker_embedded::Embedded;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Delivery, Message, Queue, SubscribeOptions, Subscription, Topic};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::program::LIMIT;

pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) broker: Embedded,
    pub(crate) topic: Topic,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::open_with("").await
    }

    /// Opens with parameters of the address, as `?partitions=1`.
    pub(crate) async fn open_with(params: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = connect(folder.path(), params).await;
        Self { folder, broker, topic: Topic::new(format!("topic-{}", uuid::Uuid::new_v4())).unwrap() }
    }

    pub(crate) async fn publish(&self, bodies: impl IntoIterator<Item = impl ToString>) {
        let messages = bodies.into_iter().map(|body| Message::new(body.to_string()));
        self.broker.publish(&self.topic, messages.collect()).all().await.unwrap();
    }

    /// Publishes bodies `key-0`, `key-1`, … with that key.
    pub(crate) async fn publish_keyed(&self, key: &str, numbers: std::ops::Range<u32>) {
        let messages = numbers.map(|number| Message::new(format!("{key}-{number}")).key(key.to_owned()));
        self.broker.publish(&self.topic, messages.collect()).all().await.unwrap();
    }

    pub(crate) async fn queue(&self, queue: &str) -> Box<dyn Subscription> {
        self.subscribe(SubscribeOptions::new().queue(Queue::new(queue).unwrap())).await
    }

    pub(crate) async fn subscribe(&self, options: SubscribeOptions) -> Box<dyn Subscription> {
        self.broker.subscribe(&self.topic, options).await.unwrap()
    }
}

pub(crate) async fn connect(folder: &std::path::Path, params: &str) -> Embedded {
    let address = Address::parse(&format!("embedded://{}{params}", folder.display())).unwrap();
    let broker = Embedded::with_options(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    broker
}

/// Waits for so many deliveries.
pub(crate) async fn take(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = timeout(LIMIT, subscription.next(count - taken.len())).await;
        taken.extend(next.unwrap_or_else(|_| panic!("{} of {count} came", taken.len())).unwrap().expect("ended"));
    }
    taken
}

/// Shows that nothing comes for a while.
pub(crate) async fn nothing(subscription: &mut Box<dyn Subscription>) {
    if let Ok(came) = timeout(Duration::from_millis(400), subscription.next(1)).await {
        panic!("{came:?} came");
    }
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(delivery.body()).into_owned()).collect()
}

pub(crate) fn sorted(deliveries: &[Delivery]) -> Vec<String> {
    let mut bodies = bodies(deliveries);
    bodies.sort_by_key(|body| (body.len(), body.clone()));
    bodies
}

pub(crate) async fn ack(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        delivery.ack().await.unwrap();
    }
}

/// Takes, acknowledges and returns the bodies, in order of their numbers.
pub(crate) async fn settle(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<String> {
    let taken = take(subscription, count).await;
    let bodies = sorted(&taken);
    ack(taken).await;
    bodies
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !condition().await {
        assert!(std::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers of a range as texts.
pub(crate) fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}
