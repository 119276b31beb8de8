use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use micro_core::broker::{Settled, Settlement, Settler};
use micro_core::{Kind, Result};
use tokio::time::Instant;

/// So many answers go to the broker at once, at most.
const MOST: usize = 256;
/// So long an answer waits for company, while there is more to handle.
const LONGEST: Duration = Duration::from_millis(1);

/// Answers that are collected for one call to the broker.
#[derive(Default)]
pub(crate) struct Answers {
    batches: Vec<Batch>,
    since: Option<Instant>,
}

/// Answers on their way to one settler. All deliveries of a subscription have the same, unless it was mended.
pub(crate) struct Batch {
    settler: Arc<dyn Settler>,
    settlements: Vec<Settlement>,
}

impl Answers {
    pub(crate) fn push(&mut self, settler: &Arc<dyn Settler>, settlement: Settlement, now: Instant) {
        self.batch(settler, now).push(settlement);
    }

    /// Adds many, and leaves their list empty.
    pub(crate) fn append(&mut self, settler: &Arc<dyn Settler>, settlements: &mut Vec<Settlement>, now: Instant) {
        self.batch(settler, now).append(settlements);
    }

    fn batch(&mut self, settler: &Arc<dyn Settler>, now: Instant) -> &mut Vec<Settlement> {
        self.since.get_or_insert(now);
        if !self.batches.last().is_some_and(|batch| Arc::ptr_eq(&batch.settler, settler)) {
            let settlements = Vec::with_capacity(MOST);
            self.batches.push(Batch { settler: Arc::clone(settler), settlements });
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last].settlements
    }

    /// Takes them out if they are many, or have waited long enough.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Batch> {
        let full = self.batches.last().is_some_and(|batch| batch.settlements.len() >= MOST);
        if full || self.since.is_some_and(|since| now.saturating_duration_since(since) >= LONGEST) {
            return self.take();
        }
        Vec::new()
    }

    /// Takes them out.
    pub(crate) fn take(&mut self) -> Vec<Batch> {
        self.since = None;
        std::mem::take(&mut self.batches)
    }
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.settlements.len()
    }

    pub(crate) fn send(self) -> Settled {
        self.settler.settle(self.settlements)
    }
}

/// Confirmations that are still out.
#[derive(Default)]
pub(crate) struct Unconfirmed {
    settled: Vec<Settled>,
    /// How many there were after the last look.
    left: usize,
}

impl Unconfirmed {
    /// Adds one, unless it is there already.
    pub(crate) fn push(&mut self, topic: &str, mut settled: Settled) {
        match (&mut settled).now_or_never() {
            Some(results) => report(topic, &results),
            None => self.settled.push(settled),
        }
        // Those that are never looked at must not pile up; the oldest are the ones that are there by now.
        if self.settled.len() >= (self.left * 2).max(64) {
            self.sweep(topic);
            let surplus = self.settled.len().saturating_sub(1024);
            self.settled.drain(..surplus);
            self.left = self.settled.len();
        }
    }

    /// Looks at those that have come.
    pub(crate) fn sweep(&mut self, topic: &str) {
        self.settled.retain_mut(|settled| match settled.now_or_never() {
            Some(results) => {
                report(topic, &results);
                false
            }
            None => true,
        });
    }
}

/// Says what did not reach the broker. It is no loss: those messages come again.
fn report(topic: &str, results: &[Result<()>]) {
    let mut failed = results.iter().filter_map(|result| result.as_ref().err());
    let Some(first) = failed.next() else { return };
    let count = 1 + failed.count();
    if first.kind() == Kind::Conflict {
        tracing::debug!(topic, count, error = %first, "deliveries were given to another member meanwhile");
    } else {
        tracing::warn!(topic, count, error = %first, "answers did not reach the broker; these messages come again");
    }
}
