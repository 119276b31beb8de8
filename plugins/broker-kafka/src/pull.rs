//! Handing out: what waited long enough, and what the servers sent.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use micro_core::Error;
use micro_core::broker::{Delivery, DeliveryParts, Message, Origin, Position, Settler, Token};

use crate::convert::{Arena, ID, Record};
use crate::detour::Detour;
use crate::member::{Member, Phase, State, later};
use crate::native;
use crate::share::Source;
use crate::slots::Place;
use crate::window::Window;

/// As many bytes of a partition are kept for what is out and what waits, but for one turn.
const HELD: usize = 32 << 20;
/// As many messages are taken from one partition before the next has its turn.
const TURN: usize = 64;

/// When to look again while partitions are given away or moved.
const SOON: Duration = Duration::from_millis(1);

/// What a pull brought.
pub(crate) enum Pull {
    Some(Vec<Delivery>),
    /// Nothing now; something waits until this time.
    Nothing(Option<Instant>),
    Failed(Error),
    End,
}

impl Member {
    /// Takes deliveries that are ready, at most `max`.
    pub(crate) fn pull(self: &Arc<Self>, max: usize) -> Pull {
        // Held by the one who gives partitions away or moves them; it is soon done, and says so.
        let Some(mut arena) = self.try_take() else { return Pull::Nothing(Some(later(SOON))) };
        let mut state = self.lock();
        if let Some(error) = state.failure.take() {
            return Pull::Failed(error);
        }
        if state.phase != Phase::Live {
            return Pull::End;
        }
        let room = max.min(self.in_flight.saturating_sub(state.slots.len()));
        if state.paused || room == 0 {
            state.starved = true;
            return Pull::Nothing(None);
        }
        state.starved = false;
        let settler = Arc::clone(self) as Arc<dyn Settler>;
        let origin = Origin::new(self.topic.clone(), self.queue.clone(), settler);
        let mut taken = Taking { origin, deliveries: Vec::with_capacity(room.min(arena.last_pull + 1)) };
        self.take_due(&mut state, room, &mut taken);
        let first = state.turn;
        let order = state.shares.range(first..).map(|(number, _)| *number);
        let open = order.chain(state.shares.range(..first).map(|(number, _)| *number)).collect();
        drop(state);
        self.take_new(&mut arena, open, room, &mut taken);
        if taken.deliveries.is_empty() {
            let mut state = self.lock();
            return match state.failure.take() {
                Some(error) => Pull::Failed(error),
                None => Pull::Nothing(state.timers.peek().map(|Reverse((at, ..))| *at)),
            };
        }
        arena.last_pull = taken.deliveries.len();
        Pull::Some(taken.deliveries)
    }

    /// Takes what waited long enough.
    fn take_due(&self, state: &mut State, room: usize, taken: &mut Taking) {
        if state.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        while taken.len() < room
            && let Some(Reverse((at, share, number))) = state.timers.peek().copied()
            && at <= now
        {
            state.timers.pop();
            // What is on its way to the retry topic does not come again here.
            if state.leaving.contains(&(share, number)) {
                continue;
            }
            if state.shares.get(&share).is_some_and(|share| share.draining.is_none() && !share.moving) {
                self.hand_out(state, Place { share, number }, taken);
            }
        }
    }

    /// Takes what the servers sent, a turn from each partition.
    fn take_new(&self, arena: &mut Arena, mut open: Vec<u64>, room: usize, taken: &mut Taking) {
        while !open.is_empty() && taken.len() < room {
            open.retain(|number| {
                taken.len() >= room || self.take_turn(arena, *number, room.min(taken.len() + TURN), taken)
            });
        }
    }

    /// Takes from one partition until `room` is full; says whether there may be more.
    ///
    /// The library's messages are read and copied without the lock, so that nobody who settles waits for that.
    fn take_turn(&self, arena: &mut Arena, number: u64, room: usize, taken: &mut Taking) -> bool {
        let mut state = self.lock();
        state.turn = number + 1;
        let State { shares, starved, .. } = &mut *state;
        let Some(share) = shares.get_mut(&number).filter(|share| share.is_open(self.ordered)) else { return false };
        if self.is_full(&share.window) {
            *starved = true;
            if let Some(first) = share.window.first_waiting() {
                self.take_detour(&mut state, Place { share: number, number: first });
            }
            return false;
        }
        let want = TURN.min(room - taken.len()).min(self.window - share.window.len());
        let messages = Arc::clone(&share.messages);
        // In strict order nothing may fail between the look at the window and the taking.
        let held = match self.ordered {
            true => Some(state),
            false => {
                drop(state);
                None
            }
        };
        let mut came = native::Taken::new(want);
        messages.take(&mut came);
        let (mut count, mut errors) = (0, Vec::new());
        for message in &mut came {
            count += 1;
            match message {
                Ok(message) => arena.copy(&message),
                Err(error) => errors.push(error),
            }
        }
        let mut records = arena.take();
        let mut state = held.unwrap_or_else(|| self.lock());
        for (offset, record) in records.drain(..) {
            self.take_record(&mut state, number, offset, record, taken);
        }
        for error in errors {
            self.trouble(&mut state, number, &error);
        }
        arena.give_back(records);
        count == want
    }

    /// Takes one message into its window, and out of it unless it has to wait.
    fn take_record(&self, state: &mut State, number: u64, offset: i64, record: Record, taken: &mut Taking) {
        let Some(share) = state.shares.get_mut(&number) else { return };
        if !share.window.is_new(offset) {
            share.dirty |= self.queue.is_some();
            return;
        }
        if share.source == Source::Main {
            let message = record.message(self.publisher.dialect());
            let (position, published, id) = (share.position(offset), record.published(), record.id());
            let (entry, attempts) = share.window.take_out(offset, record);
            let token = state.slots.insert(Place { share: number, number: entry });
            taken.push(token, message, id, attempts, position, published);
            return;
        }
        let pause =
            Detour::read(&mut record.message(self.publisher.dialect())).map(|detour| (detour.attempts, detour.pause()));
        let entry = share.window.take_in(offset, record);
        let place = Place { share: number, number: entry };
        if let Some((attempts, _)) = pause {
            share.window.raise_attempts(entry, attempts);
        }
        match pause {
            Some((_, pause)) if !pause.is_zero() => state.timers.push(Reverse((later(pause), number, entry))),
            _ => self.hand_out(state, place, taken),
        }
    }

    /// Tells whether nothing more may be taken in above the watermark.
    pub(crate) fn is_full(&self, window: &Window) -> bool {
        window.len() >= self.window || window.held() >= HELD
    }

    fn hand_out(&self, state: &mut State, place: Place, taken: &mut Taking) {
        let Some(share) = state.shares.get_mut(&place.share) else { return };
        let Some((offset, attempts, record)) = share.window.hand_out(place.number) else { return };
        let published = record.published();
        let mut message = record.message(self.publisher.dialect());
        let detour = match share.source {
            Source::Main => None,
            Source::Retry => Detour::read(&mut message),
        };
        let (position, published) = match detour {
            Some(detour) => (detour.origin, detour.published),
            None => (share.position(offset), published),
        };
        taken.push(state.slots.insert(place), message, record.id(), attempts, position, published);
    }
}

/// The deliveries of one pull.
struct Taking {
    origin: Arc<Origin>,
    deliveries: Vec<Delivery>,
}

impl Taking {
    fn len(&self) -> usize {
        self.deliveries.len()
    }

    fn push(
        &mut self,
        token: Token,
        message: Message,
        id: Option<Bytes>,
        attempts: u32,
        position: Position,
        published: Option<SystemTime>,
    ) {
        let id = id.or_else(|| message.headers.get_bytes(ID).cloned()).unwrap_or_else(|| position.to_string().into());
        let mut parts = DeliveryParts::new(Arc::clone(&self.origin), message, token);
        parts.id = id;
        parts.attempts = attempts;
        parts.published = published;
        parts.position = Some(position);
        self.deliveries.push(Delivery::from_parts(parts));
    }
}
