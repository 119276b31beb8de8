use std::ops::Range;
use std::time::{Duration, Instant};

use micro_core::broker::Promise;
use micro_core::{Error, Kind, Result};

/// Commits of one subscription follow each other at least so far apart.
const APART: Duration = Duration::from_millis(5);
/// Where so many answers came since the last one, nobody waits for each of them: then they follow further apart.
const MANY: usize = 2048;
const FURTHER: Duration = Duration::from_millis(20);
/// Pauses after commits that failed.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Who waits for what to be committed. At most one commit is on its way; what is settled meanwhile goes with the next.
#[derive(Default)]
pub(crate) struct Commits {
    /// Counts the calls of settle.
    change: u64,
    /// Answers since the last one began.
    answers: usize,
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
    entries: Entries,
}

/// The entries of a call to settle that wait for a commit, by the share they lie in: most follow each other.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<(Range<usize>, u64)>);

impl Entries {
    pub(crate) fn push(&mut self, entry: usize, share: u64) {
        match self.0.last_mut() {
            Some((last, lies_in)) if last.end == entry && *lies_in == share => last.end += 1,
            _ => self.0.push((entry..entry + 1, share)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.iter().map(|(entries, _)| entries.len()).sum()
    }
}

impl Commits {
    /// Notes answers whose confirmations go to `promise`.
    pub(crate) fn wait(&mut self, promise: Promise<()>, entries: Entries) {
        self.change += 1;
        self.answers += entries.len();
        self.pending.push(Pending { change: self.change, promise, entries });
    }

    /// Tells whether one may be sent now.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.flight.is_none() && self.not_before().is_none_or(|at| at <= now)
    }

    fn not_before(&self) -> Option<Instant> {
        self.not_before.map(|at| if self.answers < MANY { at } else { at + (FURTHER - APART) })
    }

    /// Notes that one is on its way, with all that was settled so far.
    pub(crate) fn began(&mut self, shares: Vec<u64>, now: Instant) {
        self.flight = Some(Flight { change: self.change, shares });
        self.not_before = Some(now + APART);
        self.answers = 0;
    }

    /// Returns how long what is settled now must wait for its turn, if it must.
    pub(crate) fn rests(&self, now: Instant) -> Option<Duration> {
        let at = self.not_before().filter(|at| *at > now && self.flight.is_none())?;
        Some(at - now)
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
            pending.entries.0.retain(|(entries, lies_in)| {
                if *lies_in == share {
                    entries.clone().for_each(|entry| pending.promise.complete(entry, result()));
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
