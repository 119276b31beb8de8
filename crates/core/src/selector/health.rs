//! Whether a node is left out for its failures, in numbers that change without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What failures did to a node.
#[derive(Default)]
pub(super) struct Health {
    /// Failures since the last success.
    row: AtomicU32,
    /// The number of the window, calls and failures in it.
    window: AtomicU64,
    /// Until when it is out, in milliseconds; it stays set, in the past, while the node is on trial. 0: in.
    until: AtomicU64,
    /// How often it was out lately.
    times: AtomicU32,
    /// When it was last called on trial.
    tried: AtomicU64,
    /// When its last time out ended or ends.
    back: AtomicU64,
}

/// Counts how often any node of the process went out or came in, for those who keep counts of nodes.
static TURNS: AtomicU64 = AtomicU64::new(0);

pub(super) fn turns() -> u64 {
    TURNS.load(Ordering::Acquire)
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    In,
    /// Until this millisecond.
    Out(u64),
    /// Its time is over, and no call has shown yet that it is well.
    Trial,
}

impl Health {
    pub(super) fn standing(&self, now: u64) -> Standing {
        match self.until.load(Ordering::Relaxed) {
            0 => Standing::In,
            until if now < until => Standing::Out(until),
            _ => Standing::Trial,
        }
    }

    pub(super) fn is_ejected(&self, now: u64) -> bool {
        matches!(self.standing(now), Standing::Out(_))
    }

    /// Notes a call on trial.
    pub(super) fn tried(&self, now: u64) {
        self.tried.store(now, Ordering::Relaxed);
    }

    /// Returns how many milliseconds ago it was called on trial.
    pub(super) fn last_tried(&self, now: u64) -> u64 {
        now.saturating_sub(self.tried.load(Ordering::Relaxed))
    }

    /// Takes a success and tells whether it ended a trial.
    pub(super) fn succeeded(&self, now: u64) -> bool {
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
        let until = self.until.load(Ordering::Relaxed);
        // A late answer of a call from before says nothing of the node now.
        let ended = until != 0
            && now >= until
            && self.until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if ended {
            self.window.store(0, Ordering::Relaxed);
            TURNS.fetch_add(1, Ordering::Release);
        }
        ended
    }

    /// Takes a failure and returns how many there were since the last success.
    pub(super) fn failed(&self) -> u32 {
        self.row.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Counts a call in the window of this number, and returns the calls and failures in it.
    pub(super) fn count(&self, window: u32, failed: bool) -> (u32, u32) {
        let mut word = self.window.load(Ordering::Relaxed);
        for _ in 0..8 {
            let (calls, failures) =
                if (word >> 32) as u32 == window { (word as u16, (word >> 16) as u16) } else { (0, 0) };
            // Full: what the first 65,535 calls of a window say is said.
            let (calls, failures) =
                if calls == u16::MAX { (calls, failures) } else { (calls + 1, failures + u16::from(failed)) };
            let next = (u64::from(window) << 32) | (u64::from(failures) << 16) | u64::from(calls);
            match self.window.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return (calls.into(), failures.into()),
                Err(other) => word = other,
            }
        }
        (0, 0)
    }

    /// Leaves the node out, unless it is out already: for `first` milliseconds, twice as long each time in a row, `most`
    /// at most. Returns for how long.
    pub(super) fn eject(&self, now: u64, first: u64, most: u64) -> Option<u64> {
        let before = self.until.load(Ordering::Relaxed);
        if now < before {
            return None;
        }
        // What was long ago is forgiven.
        let well_for = now.saturating_sub(self.back.load(Ordering::Relaxed));
        let times = if before == 0 && well_for > most { 0 } else { self.times.load(Ordering::Relaxed) };
        let length = first.saturating_mul(1 << times.min(20)).min(most).max(1);
        self.until.compare_exchange(before, now + length, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.times.store(times + 1, Ordering::Relaxed);
        self.back.store(now + length, Ordering::Relaxed);
        self.row.store(0, Ordering::Relaxed);
        self.window.store(0, Ordering::Relaxed);
        TURNS.fetch_add(1, Ordering::Release);
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_out_longer_each_time_and_never_longer_than_the_most() {
        let health = Health::default();
        let mut now = 1_000;
        for expected in [10, 20, 40, 80, 100, 100] {
            assert_eq!(health.eject(now, 10, 100), Some(expected));
            assert_eq!(health.standing(now), Standing::Out(now + expected));
            assert_eq!(health.eject(now, 10, 100), None, "it is out already");
            now += expected;
            assert_eq!(health.standing(now), Standing::Trial);
        }
        assert!(health.succeeded(now));
        assert_eq!(health.standing(now), Standing::In);
        assert_eq!(health.eject(now + 101, 10, 100), Some(10), "it was well for long");
    }

    #[test]
    fn a_late_success_does_not_end_the_time_out() {
        let health = Health::default();
        health.eject(1_000, 10, 100);
        assert!(!health.succeeded(1_005) && health.is_ejected(1_005));
        assert!(health.succeeded(1_010) && !health.is_ejected(1_010));
    }

    #[test]
    fn a_window_counts_its_own_calls() {
        let health = Health::default();
        health.count(7, true);
        assert_eq!(health.count(7, false), (2, 1));
        assert_eq!(health.count(8, true), (1, 1));
    }
}
