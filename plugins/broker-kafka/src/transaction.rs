//! Consume, process and produce exactly once: messages and offsets in one transaction of the servers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use micro_core::broker::{Delivery, DeliveryParts, Message, Receipts, Settle, Settlement, Settler, Topic, Transaction};
use micro_core::{Error, Kind, Result};
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::broker::Members;
use crate::commits::conflict;
use crate::error::{closed, convert};
use crate::member::Member;
use crate::publisher::Publisher;

/// How long one step of a transaction may take.
const STEP: Duration = Duration::from_secs(15);
/// Between looks whether commits on their way are done.
const LOOK: Duration = Duration::from_millis(2);

/// Transactional producers that wait for their next use: each has one transaction at a time.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<(Vec<Arc<Publisher>>, usize)>,
}

impl Pool {
    /// Takes one that waits, or makes one.
    async fn take(&self, publisher: &Publisher) -> Result<Arc<Publisher>> {
        let number = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waiting) = idle.0.pop() {
                return Ok(waiting);
            }
            idle.1 += 1;
            idle.1
        };
        // A given id fences a former run of the same program; without one, the generation of the queue does.
        let id = match &publisher.settings.transactional_id {
            Some(id) => format!("{id}-{number}"),
            None => format!("{}-{}", publisher.settings.client_id, uuid::Uuid::new_v4()),
        };
        let made = Arc::new(publisher.transactional(&id)?);
        blocking(&made, |publisher| publisher.producer()?.init_transactions(STEP).map_err(begin_failed)).await?;
        Ok(made)
    }

    fn give_back(&self, publisher: Arc<Publisher>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.push(publisher);
    }

    /// Closes those that wait.
    pub(crate) async fn close(&self) -> Result<()> {
        let idle = std::mem::take(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner).0);
        let mut outcome = Ok(());
        for publisher in idle {
            outcome = outcome.and(publisher.close().await);
        }
        outcome
    }
}

/// One transaction. Dropped, it is aborted.
pub(crate) struct KafkaTransaction {
    publisher: Arc<Publisher>,
    pool: Arc<Pool>,
    members: Members,
    taken: Vec<(Arc<Member>, DeliveryParts)>,
    ended: bool,
}

/// The offsets of one queue that go with the transaction.
struct Offsets {
    list: TopicPartitionList,
    group: ConsumerGroupMetadata,
}

impl KafkaTransaction {
    pub(crate) async fn begin(publisher: &Publisher, pool: &Arc<Pool>, members: &Members) -> Result<Self> {
        let taken = pool.take(publisher).await?;
        taken.flush().await;
        blocking(&taken, |publisher| publisher.producer()?.begin_transaction().map_err(begin_failed)).await?;
        let (pool, members) = (Arc::clone(pool), Arc::clone(members));
        Ok(Self { publisher: taken, pool, members, taken: Vec::new(), ended: false })
    }

    /// Says who gave a delivery.
    fn member(&self, settler: &Arc<dyn Settler>) -> Option<Arc<Member>> {
        let wanted = Arc::as_ptr(settler).cast::<()>();
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter_map(std::sync::Weak::upgrade).find(|member| Arc::as_ptr(member).cast::<()>() == wanted)
    }

    async fn finish(&mut self) -> Result<()> {
        let flushed = tokio::time::timeout(self.publisher.settings.timeout + STEP, self.publisher.flush()).await;
        match flushed {
            Ok(0) => {}
            Ok(refused) => {
                let text = format!("nothing was done: {refused} messages were refused; their receipts say why");
                return Err(Error::new(Kind::FailedPrecondition, text));
            }
            Err(_) => {
                return Err(Error::new(Kind::Timeout, "nothing was done: the messages were not confirmed in time"));
            }
        }
        let members = self.queues();
        let held: Vec<Held> = members.into_iter().map(Held::new).collect();
        let mut offsets = Vec::new();
        for held in &held {
            held.quiet().await?;
            offsets.push(self.offsets(&held.0)?);
        }
        blocking(&self.publisher, move |publisher| {
            let producer = publisher.producer()?;
            for Offsets { list, group } in offsets {
                again(|| producer.send_offsets_to_transaction(&list, &group, STEP))?;
            }
            again(|| producer.commit_transaction(STEP))
        })
        .await?;
        self.ended = true;
        for (member, parts) in std::mem::take(&mut self.taken) {
            let mut state = member.lock();
            if let Some(place) = state.slots.remove(parts.token)
                && let Some(share) = state.shares.get_mut(&place.share)
            {
                share.window.settle(place.number);
            }
            member.go_on(&state);
        }
        Ok(())
    }

    fn queues(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<Arc<Member>> = Vec::new();
        for (member, _) in &self.taken {
            if !members.iter().any(|known| Arc::ptr_eq(known, member)) {
                members.push(Arc::clone(member));
            }
        }
        members
    }

    /// Puts together how far a queue is when all that was taken of it is settled.
    fn offsets(&self, member: &Arc<Member>) -> Result<Offsets> {
        let mut state = member.lock();
        let mut settled: Vec<(u64, Vec<u64>)> = Vec::new();
        for (_, parts) in self.taken.iter().filter(|(owner, _)| Arc::ptr_eq(owner, member)) {
            let place = state.slots.get(parts.token).filter(|place| state.shares.contains_key(&place.share));
            let place = place.ok_or_else(conflict)?;
            match settled.iter_mut().find(|(share, _)| *share == place.share) {
                Some((_, numbers)) => numbers.push(place.number),
                None => settled.push((place.share, vec![place.number])),
            }
        }
        let mut list = TopicPartitionList::new();
        for (number, numbers) in &settled {
            let Some(share) = state.shares.get_mut(number) else { continue };
            share.in_transaction = true;
            let Some((offset, text)) = share.commit(numbers) else { continue };
            let mut element = list.add_partition(member.topic_of(share.source), share.partition);
            element.set_offset(Offset::Offset(offset)).map_err(|error| convert("cannot commit an offset", &error))?;
            if !text.is_empty() {
                element.set_metadata(text);
            }
        }
        let group = state.consumer.as_ref().and_then(|consumer| consumer.group_metadata()).ok_or_else(closed)?;
        Ok(Offsets { list, group })
    }

    /// Gives back what was taken.
    fn release(&mut self) {
        for (member, parts) in std::mem::take(&mut self.taken) {
            drop(member.settle(vec![Settlement::new(parts.token, Settle::Release, parts.attempts)]));
        }
    }

    async fn undo(&mut self) -> Result<()> {
        self.ended = true;
        self.release();
        let aborted = blocking(&self.publisher, |publisher| {
            let producer = publisher.producer()?;
            again(|| producer.abort_transaction(STEP))
        });
        aborted.await?;
        self.publisher.flush().await;
        self.pool.give_back(Arc::clone(&self.publisher));
        Ok(())
    }
}

/// A queue whose commits are held back, so that no older one overtakes the transaction's.
struct Held(Arc<Member>);

impl Held {
    fn new(member: Arc<Member>) -> Self {
        member.lock().transactions += 1;
        Self(member)
    }

    /// Waits until no commit is on its way.
    async fn quiet(&self) -> Result<()> {
        let until = Instant::now() + STEP;
        while self.0.lock().commits.in_flight() {
            if Instant::now() > until {
                return Err(Error::new(
                    Kind::Timeout,
                    "nothing was done: an earlier commit of the queue is not confirmed",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.transactions -= 1;
        if state.transactions == 0 {
            state.shares.values_mut().for_each(|share| share.in_transaction = false);
        }
        self.0.commit(&mut state);
    }
}

#[async_trait]
impl Transaction for KafkaTransaction {
    fn publish(&mut self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        self.publisher.publish(topic, messages)
    }

    fn settle(&mut self, deliveries: Vec<Delivery>) -> Result<()> {
        let mut taken = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let Some(member) = self.member(delivery.settler()).filter(|member| member.queue.is_some()) else {
                return Err(Error::new(
                    Kind::InvalidArgument,
                    "a delivery that is of no queue of this broker cannot be settled in its transaction",
                ));
            };
            if member.lock().slots.get(delivery.token()).is_none() {
                return Err(conflict());
            }
            taken.push((member, delivery));
        }
        self.taken.extend(taken.into_iter().map(|(member, delivery)| (member, delivery.into_parts())));
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        match self.finish().await {
            Ok(()) => {
                self.pool.give_back(Arc::clone(&self.publisher));
                Ok(())
            }
            Err(error) => {
                if let Err(undone) = self.undo().await {
                    tracing::debug!(error = %undone, "kafka: a transaction could not be aborted; the servers forget it in time");
                }
                Err(error.operation("transaction.commit"))
            }
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.undo().await.map_err(|error| error.operation("transaction.abort"))
    }
}

impl Drop for KafkaTransaction {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.release();
        let (publisher, pool) = (Arc::clone(&self.publisher), Arc::clone(&self.pool));
        // Aborting blocks; a thread of the runtime must not.
        std::thread::spawn(move || {
            let aborted = publisher.producer().and_then(|producer| again(|| producer.abort_transaction(STEP)));
            if aborted.is_ok() {
                pool.give_back(publisher);
            }
        });
    }
}

impl fmt::Debug for KafkaTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("deliveries", &self.taken.len()).finish_non_exhaustive()
    }
}

/// Runs a step of a transaction where it may block.
async fn blocking<T: Send + 'static>(
    publisher: &Arc<Publisher>,
    step: impl FnOnce(&Publisher) -> Result<T> + Send + 'static,
) -> Result<T> {
    let publisher = Arc::clone(publisher);
    tokio::task::spawn_blocking(move || step(&publisher)).await.unwrap_or_else(|_| Err(closed()))
}

/// Repeats a step as long as the library says that it may be repeated, within bounds.
fn again(step: impl Fn() -> Result<(), KafkaError>) -> Result<()> {
    let until = Instant::now() + STEP;
    loop {
        match step() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(convert("nothing was done: the transaction failed", &error)),
        }
    }
}

fn begin_failed(error: KafkaError) -> Error {
    convert("cannot begin a transaction", &error)
}
