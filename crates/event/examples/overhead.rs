//! What the event layer costs over the memory broker: CPU time per event, with and without it.
//!
//! `cargo run --release -p micro-event --example overhead`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use micro_core::broker::{Broker, Memory, Message, Queue, Settle, Settlement, SubscribeOptions, Topic};
use micro_core::codec::{Format, Payload, protobuf};
use micro_core::{Context, Result};
use micro_event::{Events, subscriber};

const EVENTS: u64 = 1_000_000;
const BATCH: usize = 256;

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(string, tag = "3")]
    message: String,
}

impl Payload for Event {
    const FORMATS: &'static [Format] = &[Format::Protobuf];
    fn encode(&self, _: Format, buffer: &mut BytesMut) -> Result<()> {
        protobuf::encode(self, buffer)
    }
    fn decode(_: Format, body: Bytes) -> Result<Self> {
        protobuf::decode(body)
    }
    fn size_hint(&self, _: Format) -> usize {
        prost::Message::encoded_len(self)
    }
}

fn event() -> Event {
    Event {
        id: "0b8d4b3e-8f0f-4c58-9d5e-6a0f1f8a7c11".to_owned(),
        timestamp: 1_620_000_000,
        message: "Messaging you all day on a topic of your own".to_owned(),
    }
}

/// CPU time of the process: user and system ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn report(name: &str, wall: Duration, cpu: Duration) {
    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    {
        let each = |time: Duration| time.as_nanos() as u64 / EVENTS;
        println!(
            "{name:<44} {:>6} ns CPU  {:>6} ns wall  {:.2} M/s",
            each(cpu),
            each(wall),
            EVENTS as f64 / wall.as_secs_f64() / 1e6
        );
    }
}

async fn measure(name: &str, work: impl Future<Output = ()>) {
    let (wall, before) = (Instant::now(), cpu());
    work.await;
    report(name, wall.elapsed(), cpu() - before);
}

async fn broker() -> Arc<dyn Broker> {
    let broker = Memory::new();
    broker.connect().await.expect("memory connects");
    Arc::new(broker)
}

/// Encode, publish, pull, decode and settle by hand, in batches.
async fn by_hand() {
    let broker = broker().await;
    let topic = Topic::new("overhead").expect("a good name");
    let options = SubscribeOptions::new().queue(Queue::new("q").expect("a good name"));
    let mut subscription = broker.subscribe(&topic, options).await.expect("a subscription");
    let publisher = tokio::spawn(async move {
        let event = event();
        for _ in 0..EVENTS / BATCH as u64 {
            broker.ready().await.expect("room");
            let messages = (0..BATCH).map(|_| {
                let mut body = BytesMut::with_capacity(event.size_hint(Format::Protobuf));
                event.encode(Format::Protobuf, &mut body).expect("it encodes");
                Message::new(body.freeze())
            });
            broker.publish(&topic, messages.collect()).all().await.expect("receipts");
            tokio::task::yield_now().await;
        }
    });
    let mut seen = 0;
    while seen < EVENTS / BATCH as u64 * BATCH as u64 {
        let deliveries = subscription.next(BATCH).await.expect("deliveries").unwrap_or_default();
        seen += deliveries.len() as u64;
        let mut settler = None;
        let answers = deliveries.into_iter().map(|delivery| {
            let parts = delivery.into_parts();
            std::hint::black_box(Event::decode(Format::Protobuf, parts.message.body).expect("it decodes"));
            settler = Some(Arc::clone(&parts.origin.settler));
            Settlement::new(parts.token, Settle::Ack, 0)
        });
        let answers = answers.collect();
        if let Some(settler) = settler {
            drop(settler.settle(answers));
        }
    }
    publisher.await.expect("the publisher ends");
}

enum How {
    One,
    Many,
}

async fn by_event(how: How, keyed: bool) {
    let events = Events::new(broker().await);
    let (seen, done) = (Arc::new(AtomicU64::new(0)), Arc::new(tokio::sync::Notify::new()));
    let total = EVENTS / BATCH as u64 * BATCH as u64;
    let handler = {
        let (seen, done) = (Arc::clone(&seen), Arc::clone(&done));
        move |_: Context, event: Event| {
            std::hint::black_box(event);
            if seen.fetch_add(1, Ordering::Relaxed) + 1 == total {
                done.notify_one();
            }
            std::future::ready(Ok(()))
        }
    };
    let live = events.subscribe(subscriber("overhead", handler).queue("q")).await.expect("a subscription");
    let publisher = tokio::spawn(async move {
        let publisher = events.event::<Event>("overhead");
        let batch = vec![event(); BATCH];
        let keys: Vec<Bytes> = (0..1000).map(|key| Bytes::from(format!("N{key:05}"))).collect();
        for round in 0..total / BATCH as u64 {
            match how {
                How::One => {
                    for (place, event) in batch.iter().enumerate() {
                        let publish = publisher.publish(event);
                        let key = &keys[(round as usize * BATCH + place) % keys.len()];
                        let receipt = if keyed { publish.key(key.clone()).await } else { publish.await };
                        receipt.expect("a receipt");
                    }
                }
                How::Many => {
                    let results = publisher.publish_all(&batch).await;
                    assert!(results.iter().all(Result::is_ok), "receipts");
                }
            }
            tokio::task::yield_now().await;
        }
    });
    done.notified().await;
    publisher.await.expect("the publisher ends");
    live.stop(Duration::from_secs(10)).await.expect("it stops");
}

async fn all() {
    measure("broker by hand, batches of 256", by_hand()).await;
    measure("events, publish_all of 256", by_event(How::Many, false)).await;
    measure("events, publish each", by_event(How::One, false)).await;
    measure("events, publish each, 1000 keys", by_event(How::One, true)).await;
}

fn main() {
    for threads in [1, 2] {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = match threads {
            1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            _ => builder.worker_threads(threads).enable_all().build(),
        };
        #[expect(clippy::print_stdout, reason = "this is what the program is for")]
        {
            println!("{threads} thread(s)");
        }
        runtime.expect("a runtime").block_on(all());
    }
}
