use std::time::{Duration, Instant};

use micro_core::broker::Promise;
use micro_core::{Error, Kind, Result};

/// Commits of one subscription follow each other at least so far apart.
const APART: Duration = Duration::from_millis(5);
/// Pauses after commits that failed.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Who waits for what to be committed. At most one commit is on its way; what is settled meanwhile goes with the next.
#[derive(Default)]
pub(crate) struct Commits {
    /// Counts the calls of settle.
    change: u64,
    flight: Option<Flight>,
    pending: Vec<Pending>,
    not_before: Option<Instant>,
    failures: u32,
}

/// A commit on its way.
struct Flight {
    /// The last change that is in it.
    change: u64,
    shares: Vec<u64>,
}

/// Answers whose outcome is open.
struct Pending {
    change: u64,
    promise: Promise<()>,
    /// Entry, and the share it lies in.
    entries: Vec<(usize, u64)>,
}

impl Commits {
    /// Notes answers whose confirmations go to `promise`.
    pub(crate) fn wait(&mut self, promise: Promise<()>, entries: Vec<(usize, u64)>) {
        self.change += 1;
        self.pending.push(Pending { change: self.change, promise, entries });
    }

    /// Tells whether one may be sent now.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.flight.is_none() && self.not_before.is_none_or(|at| at <= now)
    }

    /// Notes that one is on its way, with all that was settled so far.
    pub(crate) fn began(&mut self, shares: Vec<u64>, now: Instant) {
        self.flight = Some(Flight { change: self.change, shares });
        self.not_before = Some(now + APART);
    }

    /// Tells whether what is settled now must wait for its turn.
    pub(crate) fn rests(&self, now: Instant) -> bool {
        self.flight.is_none() && self.not_before.is_some_and(|at| at > now)
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Fills in the confirmations of what the commit on its way holds.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        let Some(flight) = self.flight.take() else { return };
        self.confirm(flight.change);
    }

    /// Confirms everything that was settled so far, because nothing of it is open.
    pub(crate) fn nothing_open(&mut self) {
        self.confirm(self.change);
    }

    fn confirm(&mut self, change: u64) {
        self.pending.retain(|pending| {
            let open = pending.change > change;
            if !open {
                pending.promise.complete_all(|_| Ok(()));
            }
            open
        });
    }

    /// Returns the shares whose offsets must be sent again, later.
    pub(crate) fn failed(&mut self, now: Instant) -> Vec<u64> {
        self.failures = self.failures.saturating_add(1);
        let pause = AGAIN.0.saturating_mul(1 << self.failures.min(8)).min(AGAIN.1);
        self.not_before = Some(now + pause);
        self.flight.take().map_or_else(Vec::new, |flight| flight.shares)
    }

    /// Confirms what lies in a share that moved: its offset does not matter any more.
    pub(crate) fn moved(&mut self, share: u64) {
        self.take_out(share, || Ok(()));
    }

    /// Answers those whose share went to another member before it was committed.
    pub(crate) fn lost(&mut self, share: u64) {
        self.take_out(share, || Err(conflict()));
    }

    fn take_out(&mut self, share: u64, result: impl Fn() -> Result<()>) {
        self.pending.retain_mut(|pending| {
            pending.entries.retain(|(entry, lies_in)| {
                if *lies_in == share {
                    pending.promise.complete(*entry, result());
                }
                *lies_in != share
            });
            !pending.entries.is_empty()
        });
    }
}

/// The answer to one who settles what is not his any more.
pub(crate) fn conflict() -> Error {
    Error::new(Kind::Conflict, "the delivery was settled already, or its partition went to another member of the queue")
        .operation("broker.settle")
}
