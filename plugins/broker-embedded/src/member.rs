use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::Error;
use micro_core::broker::{Delivery, DeliveryParts, Origin, Position, Queue, Settler, SubscribeOptions, Token, Topic};
use micro_engine::Clock;
use tokio::sync::Notify;

use crate::balance::give_away;
use crate::cursor::{Cursor, Entry};
use crate::folder::Folder;
use crate::job::Job;
use crate::share::{Ready, Share};
use crate::tables::queue::lease_millis;

/// As many messages as are read ahead at most, whatever the limit in flight.
const READ_AHEAD: usize = 2048;
/// As many lost shares as are remembered: more than can be waited for.
const LOST: usize = 1024;
/// As many bytes as are read ahead at most, but for one message.
const READ_AHEAD_BYTES: usize = 8 << 20;

/// One subscription, as the folder sees it: the partitions it owns and what is out of them.
pub(crate) struct Member {
    pub(crate) folder: Arc<Folder>,
    pub(crate) topic: Topic,
    pub(crate) topic_id: i64,
    pub(crate) partitions: u32,
    /// The queue and its row; `None` gets everything and writes nothing.
    pub(crate) queue: Option<(Queue, i64)>,
    pub(crate) ordered: bool,
    pub(crate) lease: Duration,
    in_flight: usize,
    state: Mutex<State>,
    myself: Weak<Member>,
    pub(crate) arrived: Notify,
    /// Somebody waits in `next`.
    waits: AtomicBool,
}

/// What changes in a member.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The row of the member; 0 without a queue, and while it rests.
    pub(crate) id: i64,
    /// Until when nobody else may take over, in milliseconds since boot.
    pub(crate) until: u64,
    pub(crate) shares: BTreeMap<u32, Share>,
    pub(crate) out: HashMap<u64, Out>,
    pub(crate) paused: bool,
    pub(crate) phase: Phase,
    /// When it began to leave with deliveries out.
    pub(crate) leaving: Option<u64>,
    /// Why nothing more can come; the next pull says so.
    trouble: Option<Error>,
    /// When something was asked for the last time.
    pulled: u64,
    /// It was silent for longer than its lease: others have its part until it asks for something again.
    pub(crate) resting: bool,
    /// A request to balance is on its way.
    pub(crate) balancing: bool,
    /// A longer lease is on its way.
    pub(crate) beating: bool,
    /// Reading stopped because enough was read.
    pub(crate) sated: bool,
    /// The last shares that others took over: answers that wait for these are refused.
    lost: BTreeSet<u64>,
    tokens: u64,
    generations: u64,
    turn: u32,
}

/// How far a subscription is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Live,
    /// Nothing more is handed out; what is out may be settled.
    Stopped,
    /// It has left its queue.
    Left,
}

/// A delivery that is not settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    pub(crate) partition: u32,
    pub(crate) generation: u64,
    pub(crate) offset: u64,
    pub(crate) attempts: u32,
    pub(crate) deliveries: u32,
    pub(crate) key: u64,
    pub(crate) suspect: bool,
    /// When its lease is over.
    pub(crate) until: u64,
}

impl Out {
    /// Returns what is remembered of it when it was not handled.
    pub(crate) fn released(&self) -> Entry {
        let deliveries = self.deliveries.saturating_sub(1);
        Entry { attempts: self.attempts, deliveries, due: 0, key: self.key }
    }
}

/// What a pull brought.
pub(crate) enum Pull {
    Some(Vec<Delivery>),
    Nothing,
    End,
    Failed(Error),
}

impl Member {
    pub(crate) fn new(
        folder: Arc<Folder>,
        topic: Topic,
        (topic_id, partitions): (i64, u32),
        queue: Option<(Queue, i64)>,
        options: &SubscribeOptions,
    ) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            folder,
            topic,
            topic_id,
            partitions,
            queue,
            ordered: options.ordered,
            lease: options.lease.max(Duration::from_millis(100)),
            in_flight: options.in_flight.max(1),
            state: Mutex::default(),
            myself: Weak::clone(myself),
            arrived: Notify::new(),
            waits: AtomicBool::new(false),
        })
    }

    /// Returns the shared self; there is one as long as somebody can call this.
    pub(crate) fn itself(&self) -> Option<Arc<Self>> {
        self.myself.upgrade()
    }

    /// Returns how many deliveries may be out at once.
    pub(crate) fn limit(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes deliveries that are ready, at most `max`.
    pub(crate) fn pull(self: &Arc<Self>, max: usize) -> Pull {
        let mut state = self.lock();
        if let Some(error) = &state.trouble {
            return Pull::Failed(error.duplicate());
        }
        if state.phase != Phase::Live {
            return Pull::End;
        }
        let now = Clock::now();
        state.pulled = now;
        if state.resting && !state.paused {
            state.resting = false;
            drop(state);
            self.balance();
            return Pull::Nothing;
        }
        let room = max.min(self.in_flight.saturating_sub(state.out.len()));
        if state.paused || room == 0 || self.lease_is_over(&state) {
            return Pull::Nothing;
        }
        let mut suspect_free = !state.out.values().any(|out| out.suspect);
        let mut taken = Vec::new();
        let State { shares, turn, .. } = &mut *state;
        let start = *turn;
        let order = shares.range(start..).map(|(number, _)| *number).chain(shares.range(..start).map(|(n, _)| *n));
        for number in order.collect::<Vec<_>>() {
            let Some(share) = shares.get_mut(&number).filter(|share| share.draining.is_none()) else { continue };
            while taken.len() < room
                && let Some(ready) = share.take(suspect_free)
            {
                suspect_free &= !ready.suspect;
                taken.push((number, share.generation, ready));
            }
            *turn = number + 1;
            if taken.len() >= room {
                break;
            }
        }
        if taken.is_empty() {
            return Pull::Nothing;
        }
        let settler = Arc::clone(self) as Arc<dyn Settler>;
        let origin = Origin::new(self.topic.clone(), self.queue.as_ref().map(|(queue, _)| queue.clone()), settler);
        let until = now + lease_millis(self.lease);
        let deliveries = taken
            .into_iter()
            .map(|(partition, generation, ready)| hand_out(&mut state, &origin, (partition, generation), ready, until));
        let deliveries = deliveries.collect();
        let hungry = state.sated && state.ready_len() <= self.read_ahead() / 2;
        if hungry {
            state.sated = false;
            drop(state);
            self.folder.signal();
        }
        Pull::Some(deliveries)
    }

    /// Waits until there may be something to take.
    pub(crate) async fn wait(&self) {
        struct Waits<'a>(&'a AtomicBool);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        self.waits.store(true, Ordering::Relaxed);
        let _waits = Waits(&self.waits);
        // A notification from between the look and here is kept.
        self.arrived.notified().await;
    }

    /// Takes back what was not answered within its lease, so that it comes again. A member that takes nothing itself
    /// gives its part to others.
    pub(crate) fn take_back(&self) {
        let now = Clock::now();
        let mut state = self.lock();
        let over = state.out.iter().filter(|(_, out)| out.until <= now).map(|(token, _)| *token);
        let over: Vec<u64> = over.collect();
        if over.is_empty() {
            return;
        }
        tracing::debug!(topic = %self.topic, messages = over.len(), "the leases of deliveries ended unsettled");
        for token in over {
            let Some(out) = state.out.remove(&token) else { continue };
            if let Some(share) = state.shares.get_mut(&out.partition).filter(|share| share.generation == out.generation)
            {
                // Whoever hung with it counts as one that died with it.
                share.give_back(out.offset, Entry { deliveries: out.deliveries, ..out.released() });
            }
        }
        let takes = !state.paused
            && (self.waits.load(Ordering::Relaxed) || now < state.pulled.saturating_add(lease_millis(self.lease)));
        if self.queue.is_some() && !takes && state.phase != Phase::Left {
            state.resting = true;
            give_away(&mut state, 0);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Tells whether another member may have taken over by now: this process stood still for too long.
    pub(crate) fn lease_is_over(&self, state: &State) -> bool {
        self.queue.is_some() && Clock::now() >= state.until
    }

    /// Returns how many messages are read ahead.
    pub(crate) fn read_ahead(&self) -> usize {
        self.in_flight.min(READ_AHEAD)
    }

    /// Returns how many more messages may be read.
    pub(crate) fn room(&self, state: &State) -> usize {
        let bytes: usize = state.shares.values().map(Share::ready_bytes).sum();
        if bytes >= READ_AHEAD_BYTES { 0 } else { self.read_ahead().saturating_sub(state.ready_len()) }
    }

    /// Takes a partition into its hands.
    pub(crate) fn add_share(&self, state: &mut State, partition: u32, epoch: i64, cursor: Cursor) {
        state.generations += 1;
        let share = Share::new(partition, epoch, state.generations, cursor, self.ordered, self.queue.is_some());
        state.shares.insert(partition, share);
    }

    /// Asks for a look at who is there and who owns what; nothing if that is on its way.
    pub(crate) fn balance(self: &Arc<Self>) {
        let mut state = self.lock();
        if self.queue.is_none()
            || state.resting
            || state.phase == Phase::Left
            || std::mem::replace(&mut state.balancing, true)
        {
            return;
        }
        drop(state);
        self.folder.push(Job::Balance { member: Arc::clone(self), outcome: None });
    }

    /// Hands out nothing more. To leave, it gives away what it owns: at once where nothing is out, the rest when that is
    /// settled, or when its lease is over. Returns whether nothing is out at all.
    pub(crate) fn stop(&self, leave: bool) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Live {
            state.phase = Phase::Stopped;
            state.shares.values_mut().for_each(Share::drop_ready);
        }
        if leave {
            let now = Clock::now();
            state.leaving.get_or_insert(now);
            state.shares.values_mut().for_each(|share| _ = share.draining.get_or_insert(now));
        }
        let idle = state.out.is_empty();
        drop(state);
        self.arrived.notify_one();
        if leave && !idle {
            self.folder.signal();
        }
        idle
    }

    /// Ends the subscription with an error: what was damaged or is gone does not come back by waiting.
    pub(crate) fn fail(&self, error: Error) {
        let error = error.operation("subscription.next").with("topic", &self.topic);
        self.lock().trouble.get_or_insert(error);
        self.arrived.notify_one();
    }

    /// Leaves at once, without waiting to hear that it is written.
    pub(crate) fn leave(self: &Arc<Self>) {
        self.folder.push(Job::Leave { member: Arc::clone(self), promise: None });
    }
}

impl State {
    /// Tells whether the subscription ended with an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.trouble.is_some()
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.shares.values().map(Share::ready_len).sum()
    }

    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// Lets a share go: returns it with its last state, and forgets its deliveries, so that answers to them are a conflict.
    pub(crate) fn give_up(&mut self, partition: u32) -> Option<(Share, Vec<u8>)> {
        let mut share = self.shares.remove(&partition)?;
        let generation = share.generation;
        let mut out = Vec::new();
        self.out.retain(|_, held| {
            let its = held.partition == partition && held.generation == generation;
            if its {
                out.push((held.offset, held.released()));
            }
            held.partition != partition
        });
        let last = share.last_state(out.into_iter());
        Some((share, last))
    }

    /// Forgets a share that another member has taken over.
    pub(crate) fn lose(&mut self, partition: u32) {
        if let Some(share) = self.shares.remove(&partition) {
            self.note_lost(share.generation);
        }
        self.out.retain(|_, out| out.partition != partition);
    }

    /// Notes that another member has taken the share over, also one that was given away meanwhile.
    pub(crate) fn note_lost(&mut self, generation: u64) {
        self.lost.insert(generation);
        if self.lost.len() > LOST {
            self.lost.pop_first();
        }
    }

    /// Tells whether another member has taken the share over.
    pub(crate) fn is_lost(&self, generation: u64) -> bool {
        self.lost.contains(&generation)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Member")
            .field("topic", &self.topic)
            .field("queue", &self.queue.as_ref().map(|(queue, _)| queue))
            .field("partitions", &state.shares.keys().collect::<Vec<_>>())
            .field("out", &state.out.len())
            .finish_non_exhaustive()
    }
}

fn hand_out(
    state: &mut State,
    origin: &Arc<Origin>,
    (partition, generation): (u32, u64),
    ready: Ready,
    until: u64,
) -> Delivery {
    state.tokens += 1;
    let token = Token(state.tokens);
    let Ready { offset, attempts, deliveries, key, suspect, .. } = ready;
    state.out.insert(token.0, Out { partition, generation, offset, attempts, deliveries, key, suspect, until });
    let position = Position::Offset { partition, offset };
    let id = match ready.message.headers.get_bytes("Micro-Id") {
        Some(id) => id.clone(),
        None => Bytes::from(position.to_string()),
    };
    let mut parts = DeliveryParts::new(Arc::clone(origin), ready.message, token);
    parts.id = id;
    parts.attempts = attempts;
    parts.deliveries = Some(deliveries);
    parts.published = Some(UNIX_EPOCH + Duration::from_micros(ready.time));
    parts.position = Some(position);
    Delivery::from_parts(parts)
}
