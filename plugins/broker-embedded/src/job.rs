use std::sync::Arc;

use micro_core::broker::{Message, Position, Promise, Queue, Receipt, Start, SubscribeOptions, Topic};
use micro_core::{Error, Kind, Result};
use micro_engine::{Durability, Job as Writable};
use tokio::sync::oneshot;

use crate::config::Settings;
use crate::member::Member;
use crate::settle;
use crate::tables::queue::{Balanced, Joined};
use crate::tables::start::Found;

/// One thing for the writer thread.
pub(crate) enum Job {
    /// Stores messages.
    Publish(Publish),
    /// Writes the state of a member's partitions, for answers that wait for it.
    Settle { member: Arc<Member>, waiting: Waiting, promise: Promise<()> },
    /// Writes the state of a member's partitions, for deliveries that wait for it.
    Mark { member: Arc<Member> },
    /// Finds the offsets of a start, and makes the topic where it is missing.
    Find { topic: Topic, start: Start, settings: Arc<Settings>, outcome: Option<Found>, reply: Reply<Found> },
    /// Makes a member of a queue.
    Join {
        topic: Topic,
        queue: Queue,
        options: SubscribeOptions,
        settings: Arc<Settings>,
        outcome: Option<Joined>,
        reply: Reply<Joined>,
    },
    /// Looks who is there and shares the partitions out again.
    Balance { member: Arc<Member>, outcome: Option<Balanced> },
    /// Gives partitions away that are drained, or were to be for too long.
    Hand { member: Arc<Member>, partitions: Vec<u32> },
    /// Takes a member that is silent out of its queue, until it asks for something again.
    Rest { member: Arc<Member>, id: i64 },
    /// Lengthens the leases of this process's members.
    Heartbeat { members: Vec<Arc<Member>>, until: Vec<(u64, bool)> },
    /// Writes the last state and takes the member out of its queue.
    Leave { member: Arc<Member>, promise: Option<Promise<()>> },
    /// Removes what is too old or too much.
    Retain,
    /// Answers when everything before it is written.
    Flush { promise: Promise<()> },
}

/// Messages on their way, and where they were put.
pub(crate) struct Publish {
    pub(crate) topic: Topic,
    pub(crate) messages: Vec<Message>,
    /// The entries of the batch that these are, where others were refused before.
    pub(crate) entries: Option<Vec<usize>>,
    pub(crate) settings: Arc<Settings>,
    /// `None`: the partition that the message names is not there.
    pub(crate) places: Vec<Option<Position>>,
    /// Why none of them is stored, though others of the same transaction are.
    pub(crate) refused: Option<Error>,
    pub(crate) promise: Promise<Receipt>,
}

impl Publish {
    fn answer(self) {
        let Self { topic, messages, entries, places, refused, promise, .. } = self;
        if let Some(error) = refused {
            return promise.complete_all(|_| Err(error.duplicate()));
        }
        let result = |at: usize| match places.get(at).copied().flatten() {
            Some(position) => Ok(Receipt::at(position)),
            None => {
                let asked = messages.get(at).and_then(Message::options).and_then(|options| options.partition);
                let text = format!("the topic {topic} has no partition {}", asked.unwrap_or_default());
                Err(Error::new(Kind::InvalidArgument, text))
            }
        };
        match entries {
            None => promise.complete_all(result),
            Some(entries) => {
                entries.into_iter().enumerate().for_each(|(at, entry)| promise.complete(entry, result(at)))
            }
        }
    }
}

impl Job {
    /// Answers those that wait for nothing but the transaction.
    pub(crate) fn answer(self) {
        match self {
            Self::Publish(publish) => publish.answer(),
            Self::Settle { member, waiting, promise } => settle::answer(&waiting, &promise, &member),
            Self::Find { outcome: Some(found), reply: Some(reply), .. } => drop(reply.send(Ok(found))),
            Self::Join { outcome: Some(joined), reply: Some(reply), .. } => drop(reply.send(Ok(joined))),
            Self::Leave { promise: Some(promise), .. } | Self::Flush { promise } => promise.complete_all(|_| Ok(())),
            _ => {}
        }
    }

    /// Tells whether it is rare, and made of many steps, so that it is worth being undone alone.
    pub(crate) fn is_apart(&self) -> bool {
        matches!(
            self,
            Self::Find { .. }
                | Self::Join { .. }
                | Self::Balance { .. }
                | Self::Hand { .. }
                | Self::Rest { .. }
                | Self::Leave { .. }
        )
    }

    /// Answers with an error.
    pub(crate) fn fail(self, error: &Error) {
        match self {
            Self::Publish(publish) => publish.promise.complete_all(|_| Err(error.duplicate())),
            Self::Settle { promise, .. } | Self::Leave { promise: Some(promise), .. } | Self::Flush { promise } => {
                promise.complete_all(|_| Err(error.duplicate()));
            }
            Self::Find { reply: Some(reply), .. } => drop(reply.send(Err(error.duplicate()))),
            Self::Join { reply: Some(reply), .. } => drop(reply.send(Err(error.duplicate()))),
            Self::Balance { member, .. } => {
                member.lock().balancing = false;
                if error.kind() == Kind::Corrupt {
                    member.fail(error.duplicate());
                }
            }
            // What was let go is still its own by the table: it takes it again.
            Self::Hand { member, .. } => member.balance(),
            Self::Heartbeat { members, .. } => members.iter().for_each(|member| member.lock().beating = false),
            _ => {}
        }
    }
}

/// Where a job's answer goes.
pub(crate) type Reply<T> = Option<oneshot::Sender<Result<T>>>;

/// Which answers of a batch wait for which share, by its generation.
pub(crate) type Waiting = Vec<(usize, u64)>;

impl Writable for Job {
    fn weight(&self) -> usize {
        match self {
            Self::Publish(publish) => publish.messages.iter().map(weight).sum(),
            _ => 64,
        }
    }

    fn durability(&self) -> Durability {
        match self {
            Self::Publish(publish) => publish.settings.durability,
            // A new queue must know its backlog after a power cut; all else is told again by the living.
            Self::Join { .. } | Self::Flush { .. } => Durability::Synced,
            _ => Durability::Written,
        }
    }

    fn lazy(&self) -> bool {
        matches!(self, Self::Settle { .. } | Self::Retain | Self::Heartbeat { .. })
    }
}

fn weight(message: &Message) -> usize {
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    128 + headers + message.key.as_ref().map_or(0, bytes::Bytes::len) + message.body.len()
}
