//! What becomes of a delivery after its handler.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use micro_core::Result;
use micro_core::broker::{Outcomes, Settle, Settled, Settlement, Settler};

use crate::commits::{Entries, conflict};
use crate::detour::Detour;
use crate::member::{Member, Phase, State, later};
use crate::share::Source;
use crate::slots::Place;

/// Longer pauses are not waited out where they hold the watermark.
const SHORT: Duration = Duration::from_secs(30);
/// How long one that could not be published on the retry topic waits before the next try.
const DETOUR_AGAIN: Duration = Duration::from_secs(1);

impl Settler for Member {
    fn settle(&self, answers: Vec<Settlement>) -> Settled {
        let mut state = self.lock();
        let count = answers.len();
        let mut known = Vec::new();
        let mut open = Entries::default();
        for (entry, answer) in answers.into_iter().enumerate() {
            match self.apply(&mut state, &answer) {
                None => known.push((entry, Err(conflict()))),
                Some((_, false)) => known.push((entry, Ok(()))),
                Some((share, true)) => open.push(entry, share),
            }
        }
        self.go_on(&state);
        if open.is_empty() {
            return Outcomes::ready(known.into_iter().map(|(_, result)| result).collect());
        }
        let (settled, promise) = Outcomes::pending(count);
        for (entry, result) in known {
            promise.complete(entry, result);
        }
        state.commits.wait(promise, open);
        self.commit(&mut state);
        settled
    }
}

impl Member {
    /// Applies one answer. Returns its share, and whether that must be committed; `None` if the token is not out.
    fn apply(&self, state: &mut State, answer: &Settlement) -> Option<(u64, bool)> {
        let place = state.slots.remove(answer.token)?;
        let live = state.phase == Phase::Live;
        let Some(share) = state.shares.get_mut(&place.share) else {
            // The subscription moved elsewhere by a seek: it is settled, and that has no effect.
            return Some((place.share, false));
        };
        let queued = self.queue.is_some();
        let again = live && share.draining.is_none();
        match answer.settle {
            Settle::Release => {
                let changed = share.window.take_back(place.number, answer.attempts);
                if changed && again {
                    state.timers.push(Reverse((later(Duration::ZERO), place.share, place.number)));
                    self.arrived.notify_one();
                }
                // The next owner reads it again anyway.
                return Some((place.share, false));
            }
            Settle::Retry(after) => {
                share.window.take_back(place.number, answer.attempts);
                share.dirty |= queued;
                let long = after > SHORT || self.is_full(&share.window);
                if again && long && queued && !self.ordered {
                    self.take_detour_until(state, place, SystemTime::now() + after);
                } else if again {
                    state.timers.push(Reverse((later(after), place.share, place.number)));
                    self.arrived.notify_one();
                }
            }
            // What else there may be one day is an end too.
            _ => {
                share.window.settle(place.number);
                share.dirty |= queued;
            }
        }
        Some((place.share, queued))
    }

    /// Sends a waiting message round by the retry topic, because it holds too much up where it is.
    pub(crate) fn take_detour(&self, state: &mut State, place: Place) {
        if self.ordered || self.queue.is_none() {
            return;
        }
        let due =
            state.timers.iter().find(|Reverse((_, share, number))| (*share, *number) == (place.share, place.number));
        let pause =
            due.map_or(Duration::ZERO, |Reverse((at, ..))| at.saturating_duration_since(std::time::Instant::now()));
        self.take_detour_until(state, place, SystemTime::now() + pause);
    }

    fn take_detour_until(&self, state: &mut State, place: Place, due: SystemTime) {
        if !state.leaving.insert((place.share, place.number)) {
            return;
        }
        let (Some(this), Some(share)) = (self.itself(), state.shares.get(&place.share)) else { return };
        let Some((offset, attempts, record)) = share.window.waiting_record(place.number) else { return };
        let mut detour = Detour { due, attempts, origin: share.position(offset), published: record.published() };
        let mut message = record.message(self.publisher.dialect());
        if share.source == Source::Retry
            && let Some(before) = Detour::read(&mut message)
        {
            (detour.origin, detour.published) = (before.origin, before.published);
        }
        let message = detour.write(message);
        self.runtime.spawn(async move {
            let Some(topic) = this.retry_topic.clone() else { return };
            let published = this.publisher.publish(&topic, vec![message]).first().await;
            this.detoured(place, published.map(drop));
        });
    }

    /// Settles the original, once the copy is confirmed.
    fn detoured(self: &Arc<Self>, place: Place, published: Result<()>) {
        let mut state = self.lock();
        if !state.leaving.remove(&(place.share, place.number)) {
            // The partition went to another member meanwhile: both may come, one of them as a duplicate.
            return;
        }
        let Some(share) = state.shares.get_mut(&place.share) else { return };
        match published {
            Ok(()) => {
                share.window.settle(place.number);
                share.dirty = true;
                state.orders.push(crate::member::Order::LookForRetryTopic);
            }
            Err(error) => {
                tracing::warn!(
                    topic = %self.topic, queue = ?self.queue, %error,
                    "a message that must wait could not be moved to the retry topic; it is kept"
                );
                state.timers.push(Reverse((later(DETOUR_AGAIN), place.share, place.number)));
            }
        }
        self.commit(&mut state);
        self.arrived.notify_one();
    }
}
