use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::{Client, FLUSH_LIMIT};
use super::subscription::Seat;
use super::topic::{Shared, State};
use super::{Memory, REFUSE};
use crate::broker::{
    Delivery, Message, Outcomes, Receipt, Receipts, Settle, Settlement, Settler, Token, Topic, Transaction,
};
use crate::{Error, Kind, Result};

/// Messages and answers that wait for their commit. Dropped, it is aborted.
pub(super) struct MemoryTransaction {
    client: Arc<Client>,
    messages: BTreeMap<Topic, Vec<Message>>,
    count: usize,
    refused: usize,
    taken: Vec<Taken>,
    /// Members and tokens of what was taken: one answer each.
    known: HashSet<(u64, Token)>,
}

/// A delivery that the transaction answers.
struct Taken {
    seat: Arc<Seat>,
    token: Token,
    attempts: u32,
}

/// What the commit does in one topic.
struct Part {
    topic: Arc<Shared>,
    messages: Vec<Message>,
    answers: Vec<Taken>,
}

impl Taken {
    fn held(&self, state: &State) -> bool {
        state.holds(self.seat.group, self.seat.member, self.token)
    }

    fn answer(&self, settle: Settle) -> Vec<Settlement> {
        vec![Settlement::new(self.token, settle, self.attempts)]
    }
}

impl MemoryTransaction {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let (messages, taken, known) = (BTreeMap::new(), Vec::new(), HashSet::new());
        Self { client, messages, count: 0, refused: 0, taken, known }
    }

    /// Keeps a message until the commit.
    fn keep(&mut self, topic: &Topic, message: Message) -> Result<Receipt> {
        self.client.check_open()?;
        Memory::check(&message, &self.client.capability())?;
        if self.count >= REFUSE {
            let text = format!("a transaction in memory has at most {REFUSE} messages; commit more often");
            return Err(Error::new(Kind::ResourceExhausted, text));
        }
        self.count += 1;
        match self.messages.get_mut(topic) {
            Some(messages) => messages.push(message),
            None => drop(self.messages.insert(topic.clone(), vec![message])),
        }
        Ok(Receipt::default())
    }

    fn take(&self, delivery: &Delivery) -> Result<Taken> {
        let seat = self.client.seat(delivery.settler()).filter(|_| delivery.queue().is_some());
        let Some(seat) = seat else {
            return Err(Error::new(
                Kind::InvalidArgument,
                "a delivery that is of no queue of this broker cannot be settled in its transaction",
            ));
        };
        let taken = Taken { seat, token: delivery.token(), attempts: delivery.attempts() };
        if taken.held(&taken.seat.topic.lock()) { Ok(taken) } else { Err(conflict()) }
    }

    /// Does everything or nothing, and returns what hears when the topics it filled have room again.
    fn apply(&mut self) -> Result<Vec<Arc<Notify>>> {
        if self.refused > 0 {
            let text = format!("nothing was done: {} messages were refused; their receipts say why", self.refused);
            return Err(Error::new(Kind::FailedPrecondition, text));
        }
        let mut parts = self.parts();
        let applied = apply(&self.client, &mut parts);
        if applied.is_err() {
            self.taken = parts.into_values().flat_map(|part| part.answers).collect();
        }
        applied
    }

    /// Orders what is to be done by topics.
    fn parts(&mut self) -> BTreeMap<Topic, Part> {
        let part = |topic: Arc<Shared>| Part { topic, messages: Vec::new(), answers: Vec::new() };
        let mut parts = BTreeMap::new();
        for (topic, messages) in std::mem::take(&mut self.messages) {
            let shared = self.client.world.topic(&topic);
            parts.entry(topic).or_insert_with(|| part(shared)).messages = messages;
        }
        for taken in std::mem::take(&mut self.taken) {
            let shared = &taken.seat.topic;
            let part = parts.entry(shared.name.clone()).or_insert_with(|| part(Arc::clone(shared)));
            part.answers.push(taken);
        }
        parts
    }

    fn release(&mut self) {
        for taken in std::mem::take(&mut self.taken) {
            drop(taken.seat.settle(taken.answer(Settle::Release)));
        }
    }
}

/// Checks everything, then does it, with all topics locked: nobody sees a part of it.
fn apply(client: &Client, parts: &mut BTreeMap<Topic, Part>) -> Result<Vec<Arc<Notify>>> {
    let limit = client.limit();
    // Always in the order of the names, so that two commits do not wait for each other.
    let mut locked: Vec<_> =
        parts.values_mut().map(|Part { topic, messages, answers }| (topic.lock(), messages, &*answers)).collect();
    for (state, messages, answers) in &locked {
        if !answers.iter().all(|taken| taken.held(state)) {
            return Err(conflict());
        }
        state.check_all(messages, limit)?;
    }
    client.check_open()?;
    let (wall, now) = (SystemTime::now(), Instant::now());
    let mut full = Vec::new();
    for (state, messages, answers) in &mut locked {
        let count = messages.len();
        for message in std::mem::take(*messages) {
            if let Err(error) = state.append(message, wall, now, limit) {
                tracing::error!(%error, "a message that was checked was refused by a commit in memory");
            }
        }
        for taken in *answers {
            drop(state.settle(taken.seat.group, taken.seat.member, &taken.answer(Settle::Ack), now));
        }
        if count > 0 {
            state.appended(count, limit);
            full.extend(state.full(limit));
        }
    }
    Ok(full)
}

fn conflict() -> Error {
    Error::new(Kind::Conflict, "nothing was done: a delivery was settled already, or went back to its queue")
}

#[async_trait]
impl Transaction for MemoryTransaction {
    fn publish(&mut self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let failed = |error: Error| error.operation("transaction.publish").with("topic", topic);
        let results: Vec<_> = messages.into_iter().map(|message| self.keep(topic, message).map_err(failed)).collect();
        self.refused += results.iter().filter(|result| result.is_err()).count();
        Outcomes::ready(results)
    }

    fn settle(&mut self, deliveries: Vec<Delivery>) -> Result<()> {
        let failed = |error: Error| error.operation("transaction.settle");
        let taken =
            deliveries.iter().map(|delivery| self.take(delivery)).collect::<Result<Vec<_>>>().map_err(failed)?;
        let known: HashSet<_> = taken.iter().map(|taken| (taken.seat.member, taken.token)).collect();
        if known.len() < taken.len() || !known.is_disjoint(&self.known) {
            return Err(failed(conflict()));
        }
        deliveries.into_iter().for_each(|mut delivery| delivery.disarm());
        self.known.extend(known);
        self.taken.extend(taken);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let full = self.apply().map_err(|error| error.operation("transaction.commit"))?;
        let room = async {
            for room in &full {
                room.notified().await;
            }
        };
        // It is done, whether or not a subscriber catches up.
        let _ = tokio::time::timeout(FLUSH_LIMIT, room).await;
        Ok(())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.release();
        Ok(())
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for MemoryTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("messages", &self.count)
            .field("deliveries", &self.taken.len())
            .finish_non_exhaustive()
    }
}
