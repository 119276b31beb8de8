//! The peer: rdkafka as its documentation shows it for speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, FutureProducer, FutureRecord, Producer as _, ProducerContext, ThreadedProducer,
};

use super::order::{CONTENT_TYPE, ID, Order, Outgoing, PROTOBUF};
use super::{BACKLOG, SINGLES, Task, events, sample, settings, singles};
use crate::Result;
use crate::rounds::Sample;

/// As many may be on their way as with ours.
const ON_THEIR_WAY: usize = 65_536;
/// Between two commits; ours are as near as 5 ms to each other.
const COMMIT: Duration = Duration::from_millis(50);

/// Counts what was confirmed, and tells it where somebody waits.
struct Delivered {
    count: Arc<AtomicUsize>,
    told: Option<SyncSender<()>>,
}

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.count.fetch_add(1, Ordering::Release);
            if let Some(told) = &self.told {
                // One that no longer waits was stopped.
                let _ = told.send(());
            }
        }
    }
}

type Producer = ThreadedProducer<Delivered>;

fn producer(task: &Task, told: Option<SyncSender<()>>) -> Result<(Producer, Arc<AtomicUsize>)> {
    let count = Arc::<AtomicUsize>::default();
    let context = Delivered { count: Arc::clone(&count), told };
    let producer = settings::producer(&task.servers).create_with_context(context).map_err(|e| e.to_string())?;
    Ok((producer, count))
}

fn send(producer: &Producer, topic: &str, outgoing: &mut Outgoing) -> Result<()> {
    outgoing.renew()?;
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&outgoing.body).headers(outgoing.headers());
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.to_string()),
        }
    }
}

/// Publishes as fast as it goes.
pub(super) fn publish(task: &Task) -> Result<Sample> {
    let topic = task.topic("bare");
    events::make(task, &topic)?;
    let (producer, confirmed) = producer(task, None)?;
    let mut outgoing = Outgoing::new();
    // Connections and the topic's partitions are known before it counts, as with ours.
    send(&producer, &topic, &mut outgoing)?;
    producer.flush(Duration::from_secs(30)).map_err(|e| e.to_string())?;
    let meter = task.meter();
    for sent in 1..=task.messages {
        if sent % 64 == 0 {
            while sent.saturating_sub(confirmed.load(Ordering::Acquire)) >= ON_THEIR_WAY {
                thread::sleep(Duration::from_millis(1));
            }
        }
        send(&producer, &topic, &mut outgoing)?;
    }
    while confirmed.load(Ordering::Acquire) <= task.messages {
        thread::sleep(Duration::from_micros(200));
    }
    Ok(sample(&meter, task.messages))
}

/// Publishes one at a time.
pub(super) fn one(task: &Task) -> Result<Sample> {
    let topic = task.topic("bare");
    events::make(task, &topic)?;
    let (told, confirmed) = sync_channel(1);
    let (producer, _) = producer(task, Some(told))?;
    let mut outgoing = Outgoing::new();
    let mut once = || {
        let began = Instant::now();
        send(&producer, &topic, &mut outgoing)?;
        confirmed.recv().map_err(|e| e.to_string())?;
        Ok::<_, String>(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX))
    };
    once()?;
    let meter = task.meter();
    let latencies = (0..SINGLES).map(|_| once()).collect::<Result<_>>()?;
    Ok(singles(&meter, latencies))
}

/// Publishes one at a time, each awaited.
pub(super) fn future_one(task: &Task) -> Result<Sample> {
    let topic = task.topic("bare");
    events::make(task, &topic)?;
    let producer: FutureProducer = settings::producer(&task.servers).create().map_err(|e| e.to_string())?;
    let mut outgoing = Outgoing::new();
    events::run(async {
        let mut once = async || {
            let began = Instant::now();
            outgoing.renew()?;
            let record = FutureRecord::<[u8], [u8]>::to(&topic).payload(&outgoing.body).headers(outgoing.headers());
            producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error.to_string())?;
            Ok::<_, String>(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX))
        };
        once().await?;
        let meter = task.meter();
        let mut latencies = Vec::with_capacity(SINGLES);
        for _ in 0..SINGLES {
            latencies.push(once().await?);
        }
        Ok(singles(&meter, latencies))
    })
}

/// Reads the backlog, decoding and committing.
pub(super) fn consume(task: &Task) -> Result<Sample> {
    let config = settings::consumer(&task.servers, &format!("bare-{}", task.round));
    let consumer: BaseConsumer = config.create().map_err(|e| e.to_string())?;
    consumer.subscribe(&[BACKLOG]).map_err(|e| e.to_string())?;
    let mut meter = None;
    let (mut seen, mut committed) = (0, Instant::now());
    while seen < task.messages {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.map_err(|e| e.to_string())?;
        meter.get_or_insert_with(|| task.meter());
        let (mut typed, mut id) = (false, None);
        for header in message.headers().ok_or("no headers")?.iter() {
            match header.key {
                CONTENT_TYPE => typed = header.value == Some(PROTOBUF.as_bytes()),
                ID => id = header.value,
                _ => {}
            }
        }
        if !typed || id.is_none() {
            return Err("a message without its headers".to_owned());
        }
        let order = <Order as prost::Message>::decode(message.payload().unwrap_or_default());
        std::hint::black_box((order.map_err(|e| e.to_string())?, id));
        consumer.store_offset_from_message(&message).map_err(|e| e.to_string())?;
        seen += 1;
        if seen % 256 == 0 && committed.elapsed() > COMMIT {
            consumer.commit_consumer_state(CommitMode::Async).map_err(|e| e.to_string())?;
            committed = Instant::now();
        }
    }
    let sample = sample(&meter.ok_or("nothing came")?, task.messages);
    consumer.commit_consumer_state(CommitMode::Sync).map_err(|e| e.to_string())?;
    Ok(sample)
}
