use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use micro_core::broker::{Broker, Delivery, Queue, Settle, Settlement, SubscribeOptions, Topic};
use micro_core::{Error, Kind, Result};
use tokio::time::timeout;

use super::DeadLetter;

/// The queue on `<topic>.dead` by which they are looked at.
const QUEUE: &str = "micro-dead-letters";
/// How long any one call to the broker may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What shall become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Keep,
    /// Its message goes back to its topic, for the queue that gave it up only.
    Requeue,
    /// It is gone.
    Discard,
}

/// Goes through the dead letters of a topic; see [`list`] and [`requeue`] for the usual ways.
///
/// The letters of one message and queue, as a crash may leave two of, count as one. One sweep of a topic at a time sees
/// everything; two at once share the letters.
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at before run"]
pub struct Sweep {
    limit: usize,
    quiet: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { limit: 1000, quiet: Duration::from_secs(1) }
    }
}

impl Sweep {
    /// Creates a sweep through at most 1,000 letters, that ends when the broker has brought none for a second.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many letters it looks at, at most; they are held in memory.
    pub fn limit(mut self, letters: usize) -> Self {
        self.limit = letters.max(1);
        self
    }

    /// Sets how long the broker must have brought nothing, for the sweep to be at the end.
    pub fn quiet(mut self, time: Duration) -> Self {
        self.quiet = time;
        self
    }

    /// Shows each letter to `decide` and does what it says; returns the letters that were looked at.
    ///
    /// A letter is settled only when its message is confirmed on its topic: a crash between the two requeues it twice.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`], [`Kind::Unsupported`] if the broker has no queues or keeps nothing for them, and what the
    /// broker says. Letters that were not done with stay.
    pub async fn run(
        &self,
        broker: &Arc<dyn Broker>,
        topic: &str,
        mut decide: impl FnMut(&DeadLetter) -> Fate,
    ) -> Result<Vec<DeadLetter>> {
        let topic = Topic::new(topic)?;
        let capability = broker.capability();
        if !capability.queues || !capability.backlog {
            return Err(Error::unsupported(
                broker.name(),
                format!("going through dead letters; subscribe to {} with a queue instead", topic.dead()),
            ));
        }
        let options = SubscribeOptions::new().queue(Queue::new(QUEUE)?).in_flight(self.limit);
        let mut subscription = limited(broker, broker.subscribe(&topic.dead(), options)).await?;

        let mut deliveries: Vec<Delivery> = Vec::new();
        while deliveries.len() < self.limit {
            match timeout(self.quiet, subscription.next(self.limit - deliveries.len())).await {
                Ok(Ok(Some(more))) => deliveries.extend(more),
                Ok(Ok(None)) | Err(_) => break,
                Ok(Err(error)) => return Err(error),
            }
        }
        subscription.stop().await;
        let result = settle(broker, &topic, deliveries, &mut decide).await;
        limited(broker, subscription.unsubscribe()).await?;
        result
    }
}

/// One letter, with the deliveries that carry it.
struct Found {
    letter: DeadLetter,
    copies: Vec<Delivery>,
}

async fn settle(
    broker: &Arc<dyn Broker>,
    topic: &Topic,
    deliveries: Vec<Delivery>,
    decide: &mut impl FnMut(&DeadLetter) -> Fate,
) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    let mut revived = Vec::new();
    let mut waiting = Vec::new();
    for Found { letter, copies } in merge(deliveries) {
        match decide(&letter) {
            Fate::Keep => answer(copies, &Settle::Release),
            Fate::Discard => answer(copies, &Settle::Ack),
            Fate::Requeue => {
                revived.push(letter.revived());
                waiting.push(copies);
            }
        }
        letters.push(letter);
    }
    if revived.is_empty() {
        return Ok(letters);
    }
    limited(broker, broker.ready()).await?;
    let receipts = broker.publish(topic, revived);
    let receipts = limited(broker, async { Ok(receipts.await) }).await?;
    let mut failed = None;
    for (copies, receipt) in waiting.into_iter().zip(receipts) {
        match receipt {
            Ok(_) => answer(copies, &Settle::Ack),
            Err(error) => {
                answer(copies, &Settle::Release);
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(letters), Err)
}

/// Puts letters of one message and queue together, in the order of the first.
fn merge(deliveries: Vec<Delivery>) -> Vec<Found> {
    let mut places: HashMap<(Bytes, String), usize> = HashMap::new();
    let mut found: Vec<Found> = Vec::new();
    for delivery in deliveries {
        let letter = DeadLetter::read(delivery.id(), delivery.message());
        let place = match letter.id.is_empty() {
            true => found.len(),
            false => *places.entry((letter.id.clone(), letter.queue.clone())).or_insert(found.len()),
        };
        match found.get_mut(place) {
            Some(first) => first.copies.push(delivery),
            None => found.push(Found { letter, copies: vec![delivery] }),
        }
    }
    found
}

/// Settles; unsubscribing sends it.
fn answer(copies: Vec<Delivery>, settle: &Settle) {
    for copy in copies {
        let parts = copy.into_parts();
        drop(parts.origin.settler.settle(vec![Settlement::new(parts.token, settle.clone(), parts.attempts)]));
    }
}

async fn limited<T>(broker: &Arc<dyn Broker>, call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(LIMIT, call).await.unwrap_or_else(|_| {
        let text = format!(
            "the {} broker at {} did not answer within {LIMIT:?}; look whether the server is up",
            broker.name(),
            broker.address()
        );
        Err(Error::new(Kind::Timeout, text).operation("dead_letter"))
    })
}

/// Lists the dead letters of a topic; they stay.
///
/// # Errors
///
/// As [`Sweep::run`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(broker: std::sync::Arc<dyn micro_core::broker::Broker>) -> micro_core::Result<()> {
/// for letter in micro_event::dead_letter::list(&broker, "orders.created").await? {
///     println!("{} {}: {}", letter.queue, letter.reason, letter.error);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn list(broker: &Arc<dyn Broker>, topic: &str) -> Result<Vec<DeadLetter>> {
    Sweep::new().run(broker, topic, |_| Fate::Keep).await
}

/// Gives the messages of chosen dead letters back to the queues that gave them up, and returns how many.
///
/// Every other queue of the topic settles them unseen.
///
/// # Errors
///
/// As [`Sweep::run`].
pub async fn requeue(
    broker: &Arc<dyn Broker>,
    topic: &str,
    mut choose: impl FnMut(&DeadLetter) -> bool,
) -> Result<usize> {
    let mut requeued = 0;
    let decide = |letter: &DeadLetter| match choose(letter) {
        true => {
            requeued += 1;
            Fate::Requeue
        }
        false => Fate::Keep,
    };
    Sweep::new().run(broker, topic, decide).await?;
    Ok(requeued)
}
