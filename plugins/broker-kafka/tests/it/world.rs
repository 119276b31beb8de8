//! What the tests share: names of their own, and waiting with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

use micro_broker_kafka::Kafka;
use micro_core::broker::{Broker, Delivery, Message, Queue, SubscribeOptions, Subscription, Topic};

/// How long something that must come may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long nothing must come for it to count as absent.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

/// The plain address of the shared server, with parameters behind it.
pub(crate) fn address(parameters: &str) -> String {
    let shared = micro_faults::kafka::shared().unwrap_or_else(|error| panic!("{error}"));
    format!("kafka://{}?replication=1{parameters}", shared.bootstrap())
}

/// A connected broker on the shared server.
pub(crate) async fn broker() -> Kafka {
    broker_at(&address("&partitions=4")).await
}

pub(crate) async fn broker_at(address: &str) -> Kafka {
    // RUST_LOG=debug shows what the plugin and the library say.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let broker = Kafka::at(address).unwrap();
    broker.connect().await.unwrap();
    broker
}

/// A topic that nobody else has.
pub(crate) fn topic(name: &str) -> Topic {
    let id = uuid::Uuid::new_v4().simple().to_string();
    Topic::new(format!("{name}.{}", &id[..12])).unwrap()
}

/// A queue that nobody else has.
pub(crate) fn queue(name: &str) -> Queue {
    let id = uuid::Uuid::new_v4().simple().to_string();
    Queue::new(format!("{name}.{}", &id[..12])).unwrap()
}

/// Members that are noticed as soon as the server allows when they die.
pub(crate) fn member(queue: &Queue) -> SubscribeOptions {
    SubscribeOptions::new().queue(queue.clone()).lease(Duration::from_secs(6))
}

pub(crate) fn texts(prefix: &str, count: usize) -> Vec<Message> {
    (0..count).map(|i| Message::new(format!("{prefix}{i}"))).collect()
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.body()).into_owned()
}

/// Waits for so many deliveries.
pub(crate) async fn take(subscription: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = within("deliveries", subscription.next(count - all.len())).await.unwrap();
        all.extend(more.expect("the subscription goes on"));
    }
    all
}

/// Takes so many, acknowledges each as it comes, and returns their texts.
pub(crate) async fn handle(subscription: &mut dyn Subscription, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let more = within("deliveries", subscription.next(count - bodies.len())).await.unwrap();
        for delivery in more.expect("the subscription goes on") {
            bodies.push(text(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    bodies
}

/// Sees to it that nothing comes.
pub(crate) async fn nothing(subscription: &mut dyn Subscription) {
    if let Ok(more) = tokio::time::timeout(QUIET, subscription.next(16)).await {
        panic!("something came: {more:?}");
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("no {what} within {LIMIT:?}"))
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
