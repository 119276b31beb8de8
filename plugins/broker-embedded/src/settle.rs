//! What becomes of the answers to deliveries.

use std::sync::Arc;

use micro_core::broker::{Promise, Settle, Settled, Settlement, Settler, Token};
use micro_core::{Error, Kind, Result};
use micro_engine::Clock;

use crate::cursor::Entry;
use crate::job::{Job, Waiting};
use crate::member::{Member, Phase, State};
use crate::tables::queue::lease_millis;

/// Answers are taken in memory at once, and written with the next commit, a millisecond later at most: one row a
/// partition, however many they are. A process that dies in between leaves duplicates behind, not losses.
impl Settler for Member {
    fn settle(&self, answers: Vec<Settlement>) -> Settled {
        let count = answers.len();
        let mut results: Vec<Result<()>> = Vec::with_capacity(count);
        let mut waiting = Waiting::default();
        let mut state = self.lock();
        let was_full = state.out.len() >= self.limit();
        let mut look = false;
        for (entry, answer) in answers.into_iter().enumerate() {
            look |= matches!(answer.settle, Settle::Retry(_) | Settle::Release);
            look |= state.out.get(&answer.token.0).is_some_and(|out| out.suspect);
            let taken = self.take(&mut state, &answer);
            if let Ok(Some(generation)) = taken {
                waiting.push((entry, generation));
            }
            results.push(taken.map(drop));
        }
        let leave = state.leaving.is_some() && state.out.is_empty() && state.phase == Phase::Stopped;
        // Somebody may wait for a partition to be drained, for a suspect to come back, or for a pause to end.
        look |= state.shares.values().any(|share| share.draining.is_some() && share.out == 0);
        let wake = was_full || look || self.ordered;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        if look {
            self.folder.signal();
        }
        let Some(member) = self.itself().filter(|_| self.queue.is_some()) else {
            return Settled::ready(results);
        };
        if leave {
            member.leave();
        }
        if waiting.is_empty() {
            return Settled::ready(results);
        }
        let (settled, promise) = Settled::pending(count);
        for (entry, result) in results.into_iter().enumerate() {
            if result.is_err() {
                promise.complete(entry, result);
            }
        }
        self.folder.push(Job::Settle { member, waiting, promise });
        settled
    }

    fn extend(&self, tokens: &[Token]) {
        let until = Clock::now() + lease_millis(self.lease);
        let mut state = self.lock();
        for token in tokens {
            if let Some(out) = state.out.get_mut(&token.0) {
                out.until = until;
            }
        }
    }
}

impl Member {
    /// Takes one answer. `Some(generation)`: the state of that share has to be written.
    fn take(&self, state: &mut State, answer: &Settlement) -> Result<Option<u64>> {
        let Some(out) = state.out.remove(&answer.token.0) else { return Err(conflict(self)) };
        let Some(share) = state.shares.get_mut(&out.partition) else { return Err(conflict(self)) };
        if share.generation != out.generation {
            // A seek went over it: wherever the subscription stands now, this answer belongs to the old place.
            return Ok(None);
        }
        let now = Clock::now();
        match &answer.settle {
            Settle::Retry(after) => {
                let due = now + u64::try_from(after.as_millis()).unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1);
                let entry = Entry { attempts: answer.attempts, deliveries: out.deliveries, due, key: out.key };
                share.give_back(out.offset, entry);
            }
            // Handlers may have failed with it since it was handed out: strict order waits where the message is.
            Settle::Release => share.give_back(out.offset, Entry { attempts: answer.attempts, ..out.released() }),
            // A dead letter is published by the event layer before it rejects; a raw subscriber means what it says.
            _ => share.settle(out.offset, out.key),
        }
        Ok(Some(out.generation))
    }
}

fn conflict(member: &Member) -> Error {
    let text = "the delivery was settled already, or its lease went to another member, which gets it again";
    Error::new(Kind::Conflict, text).operation("delivery.settle").with("topic", &member.topic)
}

/// Answers the settlements of a job after its transaction.
pub(crate) fn answer(waiting: &Waiting, promise: &Promise<()>, member: &Arc<Member>) {
    let state = member.lock();
    let refused: Vec<usize> =
        waiting.iter().filter(|(_, generation)| state.is_lost(*generation)).map(|(entry, _)| *entry).collect();
    drop(state);
    for entry in refused {
        promise.complete(entry, Err(conflict(member)));
    }
    promise.complete_all(|_| Ok(()));
}
