use std::sync::Arc;

use bytes::Bytes;
use micro_core::broker::{Delivery, Reason, Settle, Settlement, Settler, Token};
use tokio::time::Instant;

use super::lanes::Keyed;
use crate::failure::Failure;

/// A delivery that waits for a worker, or is in its hands. Dropped unanswered, as when its worker is aborted, it is
/// released.
pub(crate) struct Job {
    pub(crate) delivery: Delivery,
    /// Set when it is given up already, and only its dead letter is still to be written.
    pub(crate) verdict: Option<Box<Verdict>>,
}

/// Why a message is given up.
pub(crate) struct Verdict {
    pub(crate) reason: Reason,
    pub(crate) failure: Failure,
    /// How often its dead letter could not be published.
    pub(crate) tries: u32,
}

impl Keyed for Job {
    fn key(&self) -> Option<&Bytes> {
        self.delivery.key()
    }
}

impl Job {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self { delivery, verdict: None }
    }

    /// Answers it.
    pub(crate) fn settle(mut self, settle: Settle) -> Answer {
        let parts = self.delivery.parts_mut();
        let settlement = Settlement::new(parts.token, settle, parts.attempts);
        let answer = Answer {
            key: parts.message.key.take(),
            action: Action::Settle(Arc::clone(&parts.origin.settler), settlement),
        };
        self.delivery.disarm();
        answer
    }

    /// Keeps it here, for another try at a time.
    pub(crate) fn wait(self, at: Instant, verdict: Option<Box<Verdict>>, in_place: bool) -> Answer {
        let key = self.delivery.key().cloned();
        let job = Self { delivery: self.delivery, verdict };
        Answer { key, action: Action::Wait(Box::new(Waiting { at, job, in_place })) }
    }
}

/// What becomes of a delivery after its handler.
pub(crate) struct Answer {
    pub(crate) key: Option<Bytes>,
    pub(crate) action: Action,
}

pub(crate) enum Action {
    Settle(Arc<dyn Settler>, Settlement),
    Wait(Box<Waiting>),
}

/// A job that waits for its next try.
pub(crate) struct Waiting {
    pub(crate) at: Instant,
    pub(crate) job: Job,
    /// Its lane waits with it.
    pub(crate) in_place: bool,
}

impl Waiting {
    pub(crate) fn token(&self) -> Token {
        self.job.delivery.token()
    }
}

/// The soonest is the greatest, as the top of a heap; of those due together, the one that came first.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at).then_with(|| other.token().cmp(&self.token()))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}
