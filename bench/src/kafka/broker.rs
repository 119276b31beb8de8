//! The plugin without the event layer: what it costs by itself.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use micro_core::broker::{Message, Queue, Receipts, Settle, Settlement, SubscribeOptions, Topic};
use prost::Message as _;

use super::events::{connect, run};
use super::order::{CONTENT_TYPE, ID, PROTOBUF, order};
use super::{BACKLOG, Task, sample};
use crate::Result;
use crate::rounds::Sample;

/// Messages whose receipts are open before the oldest are awaited.
const WINDOW: usize = 64_000;
/// Deliveries taken at once.
const PULL: usize = 256;

/// A message with the headers of an event, encoded once for all.
fn message() -> Message {
    let mut message = Message::new(BytesMut::from(&order().encode_to_vec()[..]).freeze());
    message.headers.append(CONTENT_TYPE, PROTOBUF);
    message.headers.append(ID, Bytes::from_static(b"01942f2e-7f43-7c1e-9a57-5d6d0c5f1a01"));
    message
}

/// Publishes so many a call.
pub(super) fn publish(task: &Task, batch: usize) -> Result<Sample> {
    run(async {
        let broker = connect(&task.servers).await?;
        let topic = Topic::new(task.topic("raw")).map_err(|e| e.to_string())?;
        let message = message();
        broker.publish(&topic, vec![message.clone()]).all().await.map_err(|e| e.to_string())?;
        let mut open = VecDeque::<Receipts>::new();
        let meter = task.meter();
        for _ in 0..task.messages / batch {
            if open.len() * batch >= WINDOW
                && let Some(oldest) = open.pop_front()
            {
                oldest.all().await.map_err(|e| e.to_string())?;
            }
            broker.ready().await.map_err(|e| e.to_string())?;
            open.push_back(broker.publish(&topic, vec![message.clone(); batch]));
        }
        for receipts in open {
            receipts.all().await.map_err(|e| e.to_string())?;
        }
        let sample = sample(&meter, task.messages);
        broker.disconnect().await.map_err(|e| e.to_string())?;
        Ok(sample)
    })
}

/// Reads the backlog: pulled and settled in batches.
pub(super) fn consume(task: &Task) -> Result<Sample> {
    run(async {
        let broker = connect(&task.servers).await?;
        let topic = Topic::new(BACKLOG).map_err(|e| e.to_string())?;
        let queue = Queue::new(format!("raw-{}", task.round)).map_err(|e| e.to_string())?;
        let options = SubscribeOptions::new().queue(queue);
        let mut subscription = broker.subscribe(&topic, options).await.map_err(|e| e.to_string())?;
        let (mut meter, mut seen, mut last) = (None, 0, None);
        while seen < task.messages {
            let deliveries = subscription.next(PULL).await.map_err(|e| e.to_string())?.ok_or("it ended")?;
            meter.get_or_insert_with(|| task.meter());
            seen += deliveries.len();
            let Some(settler) = deliveries.first().map(|delivery| Arc::clone(delivery.settler())) else { continue };
            let answers = deliveries.into_iter().map(|d| Settlement::new(d.into_parts().token, Settle::Ack, 0));
            last = Some(settler.settle(answers.collect()));
        }
        let sample = sample(&meter.ok_or("nothing came")?, task.messages);
        last.ok_or("nothing came")?.all().await.map_err(|e| e.to_string())?;
        subscription.unsubscribe().await.map_err(|e| e.to_string())?;
        broker.disconnect().await.map_err(|e| e.to_string())?;
        Ok(sample)
    })
}
