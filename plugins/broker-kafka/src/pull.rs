//! Handing out: what waited long enough, and what the servers sent.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use micro_core::Error;
use micro_core::broker::{Delivery, DeliveryParts, Message, Position, Settler};

use crate::convert::Record;
use crate::detour::Detour;
use crate::member::{Member, Phase, State, later};
use crate::native;
use crate::share::{Share, Source};
use crate::slots::Place;
use crate::window::Window;

/// As many bytes of a partition are kept for what is out and what waits, but for one turn.
const HELD: usize = 32 << 20;
/// As many messages are taken from one partition before the next has its turn.
const TURN: usize = 64;

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
        let mut taken = Vec::new();
        self.take_due(&mut state, room, &mut taken);
        self.take_new(&mut state, room, &mut taken);
        if taken.is_empty() {
            return match state.failure.take() {
                Some(error) => Pull::Failed(error),
                None => Pull::Nothing(state.timers.peek().map(|Reverse((at, ..))| *at)),
            };
        }
        Pull::Some(taken)
    }

    /// Takes what waited long enough.
    fn take_due(self: &Arc<Self>, state: &mut State, room: usize, taken: &mut Vec<Delivery>) {
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
                taken.extend(self.hand_out(state, Place { share, number }));
            }
        }
    }

    /// Takes what the servers sent, a turn from each partition.
    fn take_new(self: &Arc<Self>, state: &mut State, room: usize, taken: &mut Vec<Delivery>) {
        let first = state.turn;
        let order = state.shares.range(first..).map(|(number, _)| *number);
        let mut open: Vec<u64> = order.chain(state.shares.range(..first).map(|(number, _)| *number)).collect();
        while !open.is_empty() && taken.len() < room {
            open.retain(|number| {
                if taken.len() >= room {
                    return true;
                }
                state.turn = number + 1;
                self.take_turn(state, *number, room.min(taken.len() + TURN), taken)
            });
        }
    }

    /// Takes from one partition until `room` is full; says whether there may be more.
    fn take_turn(self: &Arc<Self>, state: &mut State, number: u64, room: usize, taken: &mut Vec<Delivery>) -> bool {
        let State { shares, starved, .. } = state;
        let Some(share) = shares.get_mut(&number).filter(|share| share.is_open(self.ordered)) else { return false };
        if self.is_full(&share.window) {
            *starved = true;
            if let Some(first) = share.window.first_waiting() {
                self.take_detour(state, Place { share: number, number: first });
            }
            return false;
        }
        let want = TURN.min(room - taken.len()).min(self.window - share.window.len());
        let mut came = native::Taken::new(want);
        share.messages.take(&mut came);
        let mut count = 0;
        for message in &mut came {
            count += 1;
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    self.trouble(state, number, &error);
                    continue;
                }
            };
            let State { shares, arena, .. } = state;
            let Some(share) = shares.get_mut(&number) else { return false };
            let offset = message.offset();
            if !share.window.is_new(offset) {
                share.dirty |= self.queue.is_some();
                continue;
            }
            let record = arena.copy(&message);
            drop(message);
            if share.source == Source::Main {
                let (entry, attempts) = share.window.take_out(offset, record.clone());
                let (position, published) = (share.position(offset), record.published());
                let message = record.message(self.publisher.dialect());
                let place = Place { share: number, number: entry };
                taken.push(self.deliver(state, place, message, attempts, position, published));
                continue;
            }
            let entry = share.window.take_in(offset, record.clone());
            let place = Place { share: number, number: entry };
            let pause = self.arrive(share, entry, record);
            if pause.is_zero() {
                taken.extend(self.hand_out(state, place));
            } else {
                state.timers.push(Reverse((later(pause), number, entry)));
            }
        }
        count == want
    }

    /// Takes over what a message brings from its way round, and returns how long it must wait.
    fn arrive(&self, share: &mut Share, entry: u64, record: Record) -> Duration {
        let detour = Detour::read(&mut record.message(self.publisher.dialect()));
        match detour {
            Some(detour) => {
                share.window.raise_attempts(entry, detour.attempts);
                detour.pause()
            }
            None => Duration::ZERO,
        }
    }

    /// Tells whether nothing more may be taken in above the watermark.
    pub(crate) fn is_full(&self, window: &Window) -> bool {
        window.len() >= self.window || window.held() >= HELD
    }

    fn hand_out(self: &Arc<Self>, state: &mut State, place: Place) -> Option<Delivery> {
        let share = state.shares.get_mut(&place.share)?;
        let (offset, attempts, record) = share.window.hand_out(place.number)?;
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
        Some(self.deliver(state, place, message, attempts, position, published))
    }

    fn deliver(
        self: &Arc<Self>,
        state: &mut State,
        place: Place,
        message: Message,
        attempts: u32,
        position: Position,
        published: Option<SystemTime>,
    ) -> Delivery {
        let id = match message.headers.get_bytes("Micro-Id") {
            Some(id) => id.clone(),
            None => Bytes::from(position.to_string()),
        };
        let settler = Arc::clone(self) as Arc<dyn Settler>;
        let mut parts = DeliveryParts::new(self.topic.clone(), message, state.slots.insert(place), settler);
        parts.queue.clone_from(&self.queue);
        parts.id = id;
        parts.attempts = attempts;
        parts.published = published;
        parts.position = Some(position);
        Delivery::from_parts(parts)
    }
}
