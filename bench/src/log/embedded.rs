//! The embedded broker, directly: what the plugin and the engine cost, without the event layer.

use std::path::Path;
use std::sync::Arc;

use micro_broker_embedded::Embedded;
use micro_core::broker::{Broker, Message, Queue, Settle, Settlement, SubscribeOptions, Topic};

use super::BODY;
use crate::meter::Meter;
use crate::rounds::Sample;
use crate::{Result, driver};

/// Messages in the backlog that is consumed.
const BACKLOG: usize = 200_000;
/// Messages published and taken at once there.
const BATCH: usize = 1_000;

/// Connects to the database of this folder.
pub(super) async fn connect(folder: &Path) -> micro_core::Result<Arc<dyn Broker>> {
    let broker = Embedded::at(folder);
    broker.connect().await?;
    Ok(Arc::new(broker))
}

/// A message of the measured size.
pub(super) fn message() -> Message {
    Message::new(vec![7_u8; BODY])
}

/// Callers that each wait for their own message to be on disk.
pub(super) fn publish(folder: &Path, callers: usize) -> Result<Sample> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let broker = runtime.block_on(connect(folder)).map_err(|e| e.to_string())?;
    let topic = Topic::new("bench.publish").map_err(|e| e.to_string())?;
    let callers = vec![(broker.clone(), topic); callers];
    let sample = driver::drive(
        0,
        callers,
        |task| drop(runtime.spawn(task)),
        |(broker, topic)| async move {
            broker.ready().await.map_err(|e| e.to_string())?;
            broker.publish(&topic, vec![message()]).first().await.map(drop).map_err(|e| e.to_string())
        },
    )?;
    runtime.block_on(broker.disconnect()).map_err(|e| e.to_string())?;
    Ok(sample)
}

/// Consumes a backlog as a member of a queue, and settles every message.
pub(super) fn consume(folder: &Path) -> Result<Sample> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime
        .block_on(runtime.spawn(consume_all(folder.to_owned())))
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
}

async fn consume_all(folder: std::path::PathBuf) -> micro_core::Result<Sample> {
    let broker = connect(&folder).await?;
    let topic = Topic::new("bench.consume")?;
    for _ in 0..BACKLOG / BATCH {
        broker.ready().await?;
        broker.publish(&topic, (0..BATCH).map(|_| message()).collect()).all().await?;
    }
    let meter = Meter::start(&[std::process::id()]);
    let options = SubscribeOptions::new().queue(Queue::new("bench")?);
    let mut subscription = broker.subscribe(&topic, options).await?;
    let (mut consumed, mut last) = (0, None);
    while consumed < BACKLOG {
        let Some(deliveries) = subscription.next(BATCH).await? else { break };
        consumed += deliveries.len();
        let mut settler = None;
        let answers = deliveries.into_iter().map(|delivery| {
            let parts = delivery.into_parts();
            settler.get_or_insert_with(|| Arc::clone(&parts.origin.settler));
            Settlement::new(parts.token, Settle::Ack, 0)
        });
        let answers = answers.collect();
        if let Some(settler) = settler {
            last = Some(settler.settle(answers));
        }
    }
    if let Some(settled) = last {
        settled.all().await?;
    }
    let reading = meter.read();
    subscription.unsubscribe().await?;
    broker.disconnect().await?;
    let (operations, cpu) = (consumed as u64, [reading.cpu[0], 0]);
    Ok(Sample { operations, seconds: reading.seconds, cpu, foreign: reading.foreign, ..Sample::default() })
}
