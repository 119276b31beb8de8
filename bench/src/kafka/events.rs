//! Ours: typed events, as a program publishes and consumes them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use micro_broker_kafka::Kafka;
use micro_core::Context;
use micro_core::broker::Broker;
use micro_event::{Event, Events, Subscriber, batch_subscriber, subscriber};
use tokio::sync::Notify;

use super::order::{Order, order};
use super::{BACKLOG, PARTITIONS, SINGLES, Task, sample, singles};
use crate::Result;
use crate::meter::Meter;
use crate::rounds::Sample;

/// Events handed over at once, and tasks that do so: as many are on their way as with the peer.
const BATCH: usize = 1_000;
const TASKS: usize = 64;

/// Connects to the servers; topics are made as they are needed.
pub(super) async fn connect(servers: &str) -> Result<Arc<dyn Broker>> {
    let address = format!("kafka://{servers}?partitions={PARTITIONS}&replication=1");
    let broker = Kafka::at(&address).map_err(|e| e.to_string())?;
    broker.connect().await.map_err(|e| e.to_string())?;
    Ok(Arc::new(broker))
}

/// Runs on a default runtime.
pub(super) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Runtime::new().map_err(|e| e.to_string())?.block_on(work)
}

/// Makes a topic, with one event in it.
pub(super) fn make(task: &Task, topic: &str) -> Result<()> {
    run(async {
        let events = Events::new(connect(&task.servers).await?);
        first(&events.event(topic)).await?;
        events.broker().disconnect().await.map_err(|e| e.to_string())
    })
}

async fn first(event: &Event<Order>) -> Result<()> {
    event.publish(&order()).await.map(drop).map_err(|e| e.to_string())
}

/// Publishes the backlog.
pub(super) fn fill(servers: &str, messages: usize) -> Result<()> {
    run(async {
        let broker = connect(servers).await?;
        publish_all(&broker, BACKLOG, messages).await?;
        broker.disconnect().await.map_err(|e| e.to_string())
    })
}

async fn publish_all(broker: &Arc<dyn Broker>, topic: &str, messages: usize) -> Result<()> {
    let left = Arc::new(AtomicUsize::new(messages / BATCH));
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let event = Events::new(Arc::clone(broker)).event::<Order>(topic);
        let left = Arc::clone(&left);
        tasks.push(tokio::spawn(async move {
            let orders = vec![order(); BATCH];
            while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
                for receipt in event.publish_all(&orders).await {
                    receipt.map_err(|e| e.to_string())?;
                }
            }
            Ok::<(), String>(())
        }));
    }
    for task in tasks {
        task.await.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// Publishes as fast as it goes.
pub(super) fn publish(task: &Task) -> Result<Sample> {
    run(async {
        let broker = connect(&task.servers).await?;
        let topic = task.topic("ours");
        first(&Events::new(Arc::clone(&broker)).event(&topic)).await?;
        let meter = task.meter();
        publish_all(&broker, &topic, task.messages).await?;
        let sample = sample(&meter, task.messages);
        broker.disconnect().await.map_err(|e| e.to_string())?;
        Ok(sample)
    })
}

/// Publishes one at a time.
pub(super) fn one(task: &Task) -> Result<Sample> {
    run(async {
        let broker = connect(&task.servers).await?;
        let event = Events::new(Arc::clone(&broker)).event::<Order>(task.topic("ours"));
        first(&event).await?;
        let mut latencies = Vec::with_capacity(SINGLES);
        let meter = task.meter();
        for _ in 0..SINGLES {
            let began = Instant::now();
            first(&event).await?;
            latencies.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        let sample = singles(&meter, latencies);
        broker.disconnect().await.map_err(|e| e.to_string())?;
        Ok(sample)
    })
}

/// What handlers have seen.
struct Seen {
    /// Set by the first.
    meter: OnceLock<Meter>,
    pid: u32,
    left: AtomicUsize,
    all: Notify,
}

impl Seen {
    fn new(task: &Task) -> Arc<Self> {
        let left = AtomicUsize::new(task.messages);
        Arc::new(Self { meter: OnceLock::new(), pid: task.pid, left, all: Notify::new() })
    }

    fn see(&self, orders: &[Order]) {
        self.meter.get_or_init(|| Meter::start(&[std::process::id(), self.pid]));
        std::hint::black_box(orders);
        if self.left.fetch_sub(orders.len(), Ordering::AcqRel) == orders.len() {
            self.all.notify_one();
        }
    }
}

/// Reads the backlog, each event by a handler call.
pub(super) fn consume(task: &Task) -> Result<Sample> {
    let seen = Seen::new(task);
    let handler = {
        let seen = Arc::clone(&seen);
        move |_: Context, order: Order| {
            seen.see(&[order]);
            std::future::ready(Ok(()))
        }
    };
    consume_by(task, &seen, subscriber(BACKLOG, handler).queue(format!("ours-{}", task.round)))
}

/// Reads the backlog, many events by a handler call.
pub(super) fn consume_batches(task: &Task) -> Result<Sample> {
    let seen = Seen::new(task);
    let handler = {
        let seen = Arc::clone(&seen);
        move |_: Context, orders: Vec<Order>| {
            seen.see(&orders);
            std::future::ready(micro_core::Result::Ok(()))
        }
    };
    consume_by(task, &seen, batch_subscriber(BACKLOG, handler).queue(format!("ours-{}", task.round)))
}

/// Counts until the last event was handled; then all must be settled.
fn consume_by(task: &Task, seen: &Seen, subscriber: Subscriber) -> Result<Sample> {
    run(async {
        let broker = connect(&task.servers).await?;
        let subscribed = Events::new(Arc::clone(&broker)).subscribe(subscriber).await.map_err(|e| e.to_string())?;
        seen.all.notified().await;
        let sample = sample(seen.meter.get().ok_or("nothing came")?, task.messages);
        subscribed.stop(Duration::from_secs(5)).await.map_err(|e| e.to_string())?;
        broker.disconnect().await.map_err(|e| e.to_string())?;
        Ok(sample)
    })
}
