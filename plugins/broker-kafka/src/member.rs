use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use micro_core::broker::{Queue, Start, SubscribeOptions, Topic};
use micro_core::{Error, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::commits::Commits;
use crate::context::Consumer;
use crate::convert::Arena;
use crate::error::of_code;
use crate::native;
use crate::publisher::Publisher;
use crate::share::{Share, Source};
use crate::slots::Slots;

/// As many messages of a partition are taken in above its watermark, and always as many as may be in flight: what is out,
/// what waits, and what was settled since.
const WINDOW: usize = 8192;

/// One subscription: what it was given, and what is open of it.
pub(crate) struct Member {
    pub(crate) topic: Topic,
    /// Where long pauses are waited out; without a queue there is none.
    pub(crate) retry_topic: Option<Topic>,
    pub(crate) queue: Option<Queue>,
    pub(crate) ordered: bool,
    pub(crate) lease: Duration,
    pub(crate) start: Option<Start>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) runtime: Handle,
    pub(crate) in_flight: usize,
    pub(crate) window: usize,
    /// Held while messages are taken from the library, and while partitions are given away or moved: so nothing that was
    /// taken before can come after. Comes before the lock of the state.
    taking: Mutex<Arena>,
    state: Mutex<State>,
    myself: Weak<Member>,
    pub(crate) arrived: Arc<Notify>,
}

/// What changes in a member.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) consumer: Option<Arc<Consumer>>,
    /// What it has, by number; a partition that comes again has a new number.
    pub(crate) shares: BTreeMap<u64, Share>,
    pub(crate) slots: Slots,
    /// When what waits comes again.
    pub(crate) timers: BinaryHeap<Reverse<(Instant, u64, u64)>>,
    /// What is on its way to the retry topic.
    pub(crate) leaving: HashSet<(u64, u64)>,
    pub(crate) commits: Commits,
    /// Transactions that are about to commit offsets.
    pub(crate) transactions: usize,
    pub(crate) phase: Phase,
    pub(crate) paused: bool,
    /// Since when the servers say that the topic is not there, and by what code.
    pub(crate) missing: Option<(Instant, Code)>,
    /// Why it ended.
    pub(crate) failure: Option<Error>,
    /// What the one who polls shall do.
    pub(crate) orders: Vec<Order>,
    /// Less was handed out than there is.
    pub(crate) starved: bool,
    /// Where the next pull begins.
    pub(crate) turn: u64,
    numbers: u64,
}

/// How far a subscription is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Live,
    /// Nothing more is handed out; what is out may be settled.
    Stopped,
    /// It leaves when what is out is settled, at the latest at this time.
    Leaving(Instant),
    Left,
}

/// What only the one who polls can do.
pub(crate) enum Order {
    Seek(Start, oneshot::Sender<Result<()>>),
    /// The retry topic is there now.
    LookForRetryTopic,
    /// Says when it has left.
    Leave(oneshot::Sender<Result<()>>),
}

impl Member {
    pub(crate) fn new(publisher: Arc<Publisher>, topic: &Topic, options: &SubscribeOptions) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            topic: topic.clone(),
            retry_topic: options.queue.as_ref().map(|queue| topic.retry(queue)),
            queue: options.queue.clone(),
            ordered: options.ordered,
            lease: options.lease,
            start: options.start,
            publisher,
            runtime: Handle::current(),
            in_flight: options.in_flight.max(1),
            window: options.in_flight.max(WINDOW),
            taking: Mutex::default(),
            state: Mutex::default(),
            myself: Weak::clone(myself),
            arrived: Arc::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is being taken from the library; nothing is as long as this is held.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Arena> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take from the library, unless somebody [holds](Self::hold) that.
    pub(crate) fn try_take(&self) -> Option<MutexGuard<'_, Arena>> {
        match self.taking.try_lock() {
            Ok(arena) => Some(arena),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Returns the shared self; there is one as long as somebody can call this.
    pub(crate) fn itself(&self) -> Option<Arc<Self>> {
        self.myself.upgrade()
    }

    /// Returns the name of a source's topic.
    pub(crate) fn topic_of(&self, source: Source) -> &str {
        match (source, &self.retry_topic) {
            (Source::Retry, Some(topic)) => topic.as_str(),
            _ => self.topic.as_str(),
        }
    }

    /// Notes what went wrong with one partition.
    pub(crate) fn trouble(&self, state: &mut State, share: u64, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                if let Some(share) = state.shares.get_mut(&share) {
                    share.out_of_range = true;
                }
            }
            Some(Code::PartitionEOF) => {}
            Some(code) if is_missing(code) => _ = state.missing.get_or_insert_with(|| (Instant::now(), code)),
            Some(code) if is_final(code) => self.fail(state, code),
            _ => tracing::debug!(topic = %self.topic, %error, "kafka: a partition cannot be read for now"),
        }
    }

    /// Ends the subscription with an error that no reconnect mends.
    pub(crate) fn fail(&self, state: &mut State, code: Code) {
        let error = of_code("the subscription ended", code)
            .operation("subscription.next")
            .with("topic", &self.topic)
            .with("address", self.publisher.settings.address());
        let error = match &self.queue {
            Some(queue) => error.with("queue", queue),
            None => error,
        };
        state.failure.get_or_insert(error);
        self.arrived.notify_one();
    }

    /// Sends the offsets that changed, unless some are on their way. For a subscription without a queue there are none.
    pub(crate) fn commit(&self, state: &mut State) {
        let now = Instant::now();
        if self.queue.is_none() || state.transactions > 0 || !state.commits.may_begin(now) {
            return;
        }
        let Some(consumer) = state.consumer.clone() else { return };
        let mut list = TopicPartitionList::new();
        let mut numbers = Vec::new();
        for (number, share) in state.shares.iter_mut().filter(|(_, share)| share.dirty) {
            share.dirty = false;
            let Some((offset, text)) = share.commit(&[]) else { continue };
            let mut element = list.add_partition(self.topic_of(share.source), share.partition);
            if element.set_offset(Offset::Offset(offset)).is_ok() {
                if !text.is_empty() {
                    element.set_metadata(text);
                }
                numbers.push(*number);
            }
        }
        if numbers.is_empty() {
            return state.commits.nothing_open();
        }
        state.commits.began(numbers, now);
        if let Err(error) = native::commit(&consumer, &list) {
            self.committed(state, Err(error));
        }
    }

    /// Notes what became of the commit that was on its way.
    pub(crate) fn committed(&self, state: &mut State, result: Result<(), KafkaError>) {
        match result {
            Ok(()) => state.commits.succeeded(),
            Err(error) => {
                // Nothing to commit any more is no failure; anything else is sent again, by whoever owns the share then.
                tracing::debug!(topic = %self.topic, queue = ?self.queue, %error, "kafka: a commit failed; it is sent again");
                for number in state.commits.failed(Instant::now()) {
                    if let Some(share) = state.shares.get_mut(&number) {
                        share.dirty = true;
                    }
                }
            }
        }
    }

    /// Takes a partition into its hands.
    pub(crate) fn add_share(&self, state: &mut State, share: Share) {
        state.numbers += 1;
        let number = state.numbers;
        state.shares.insert(number, share);
    }

    /// Lets a partition go: what is out of it is not ours any more.
    pub(crate) fn drop_share(&self, state: &mut State, number: u64) -> Option<Share> {
        let share = state.shares.remove(&number)?;
        state.slots.forget(number);
        state.leaving.retain(|(share, _)| *share != number);
        state.commits.lost(number);
        self.go_on(state);
        Some(share)
    }

    /// Forgets what was to be committed of a share that moved: its deliveries may be settled, without an effect.
    pub(crate) fn detach(&self, state: &mut State, number: u64) {
        state.leaving.retain(|(share, _)| *share != number);
        state.commits.moved(number);
    }

    /// Wakes who waits for deliveries, if there is something that could not be handed out before.
    pub(crate) fn go_on(&self, state: &State) {
        if state.starved {
            self.arrived.notify_one();
        }
    }

    /// Hands out nothing more.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Live {
            state.phase = Phase::Stopped;
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Begins to leave. What is out may be settled for so long.
    pub(crate) fn leave(&self, patience: Duration) -> oneshot::Receiver<Result<()>> {
        let (sender, left) = oneshot::channel();
        let mut state = self.lock();
        let until = Instant::now() + patience;
        match state.phase {
            Phase::Left => _ = sender.send(Ok(())),
            Phase::Leaving(at) => {
                state.phase = Phase::Leaving(at.min(until));
                state.orders.push(Order::Leave(sender));
            }
            Phase::Live | Phase::Stopped => {
                state.phase = Phase::Leaving(until);
                state.orders.push(Order::Leave(sender));
            }
        }
        drop(state);
        self.arrived.notify_one();
        left
    }
}

impl State {
    /// Finds the share of a partition.
    pub(crate) fn find(&self, source: Source, partition: i32) -> Option<u64> {
        self.shares.iter().find(|(_, s)| s.source == source && s.partition == partition).map(|(number, _)| *number)
    }

    /// Tells whether some share waits to be let go.
    pub(crate) fn is_draining(&self) -> bool {
        self.shares.values().any(|share| share.draining.is_some())
    }

    /// Tells whether something settled is not with the servers yet.
    pub(crate) fn is_dirty(&self) -> bool {
        self.commits.in_flight() || self.shares.values().any(|share| share.dirty)
    }
}

/// Tells whether only a new subscription, or a person, can help.
pub(crate) fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::InconsistentGroupProtocol
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::GroupMaxSizeReached
            | Code::Fatal
            | Code::FencedInstanceId
    )
}

/// Tells whether a server does not know the topic. It may only not know it yet: topics are made by another server, and one
/// that was just started reads about them first.
pub(crate) fn is_missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// No pause is too long for a clock: ten years are as good as for ever.
pub(crate) fn later(pause: Duration) -> Instant {
    Instant::now() + pause.min(Duration::from_secs(10 * 365 * 86_400))
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let partitions: Vec<_> = state.shares.values().map(|share| (share.source, share.partition)).collect();
        f.debug_struct("Member")
            .field("topic", &self.topic)
            .field("queue", &self.queue)
            .field("partitions", &partitions)
            .field("out", &state.slots.len())
            .field("phase", &state.phase)
            .finish_non_exhaustive()
    }
}
