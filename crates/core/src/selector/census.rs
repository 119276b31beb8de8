//! How many nodes of a list are out, counted anew only when that may have changed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Candidates;
use super::health::{self, Standing};

/// A count that is kept with a list.
#[derive(Debug)]
pub(super) struct Census {
    /// The turns of nodes that it knows of.
    turns: AtomicU64,
    /// Until when it holds without any turn, in milliseconds.
    until: AtomicU64,
    /// Nodes that are out, and in the upper half those that are not in.
    counted: AtomicU64,
}

/// A count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) out: usize,
    /// Out or on trial.
    pub(super) not_in: usize,
}

impl Default for Census {
    fn default() -> Self {
        Self { turns: AtomicU64::new(u64::MAX), until: AtomicU64::new(0), counted: AtomicU64::new(0) }
    }
}

impl Census {
    pub(super) fn count(&self, candidates: &Candidates, now: u64) -> Count {
        let turns = health::turns();
        if self.turns.load(Ordering::Acquire) == turns && now < self.until.load(Ordering::Relaxed) {
            let word = self.counted.load(Ordering::Relaxed);
            return Count { out: (word & 0xffff_ffff) as usize, not_in: (word >> 32) as usize };
        }
        let (mut count, mut until) = (Count { out: 0, not_in: 0 }, u64::MAX);
        for candidate in candidates.iter() {
            match candidate.health().standing(now) {
                Standing::In => {}
                Standing::Trial => count.not_in += 1,
                Standing::Out(back) => {
                    count.out += 1;
                    count.not_in += 1;
                    until = until.min(back);
                }
            }
        }
        self.counted.store(((count.not_in as u64) << 32) | count.out as u64, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        self.turns.store(turns, Ordering::Release);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::tests::nodes;

    #[test]
    fn the_count_follows_nodes_that_go_out_and_whose_time_is_over() {
        let (census, candidates) = (Census::default(), nodes(3));
        let count = |now| {
            let count = census.count(&candidates, now);
            (count.out, count.not_in)
        };
        assert_eq!(count(1_000), (0, 0));
        candidates[0].health().eject(1_000, 10, 10);
        candidates[1].health().eject(1_000, 20, 20);
        assert_eq!((count(1_000), count(1_009)), ((2, 2), (2, 2)));
        assert_eq!((count(1_010), count(1_020)), ((1, 2), (0, 2)));
        candidates[1].health().succeeded(1_020);
        assert_eq!(count(1_020), (0, 1));
    }
}
