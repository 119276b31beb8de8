//! How fast an endpoint has been of late, to know a call that surely cannot be done in time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a time is remembered: the window it falls in and the next.
const WINDOW: Duration = Duration::from_secs(10);
/// So many calls must have been seen before anything is concluded.
const ENOUGH: u32 = 16;
/// So often a call that looks hopeless is begun all the same: a handler that has become faster is to be noticed.
const PROBE: Duration = Duration::from_millis(500);

/// The shortest time that a successful call took in the last 10 to 20 seconds.
#[derive(Debug)]
pub(super) struct Fastest {
    began: Instant,
    /// Which window it is, counted from `began`.
    window: AtomicU64,
    now: Least,
    before: Least,
    probed: AtomicU64,
}

#[derive(Debug)]
struct Least {
    nanos: AtomicU64,
    seen: AtomicU32,
}

impl Least {
    const fn new() -> Self {
        Self { nanos: AtomicU64::new(u64::MAX), seen: AtomicU32::new(0) }
    }

    fn set(&self, nanos: u64, seen: u32) {
        self.nanos.store(nanos, Ordering::Relaxed);
        self.seen.store(seen, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u32) {
        (self.nanos.load(Ordering::Relaxed), self.seen.load(Ordering::Relaxed))
    }
}

impl Fastest {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            window: AtomicU64::new(0),
            now: Least::new(),
            before: Least::new(),
            probed: AtomicU64::new(0),
        }
    }

    /// Takes note of a call that went well.
    pub(super) fn note(&self, took: Duration, now: Instant) {
        self.turn(now);
        self.now.nanos.fetch_min(nanos(took), Ordering::Relaxed);
        // Counts no further than it matters, so that cores do not fight over it.
        if self.now.seen.load(Ordering::Relaxed) < ENOUGH {
            self.now.seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the fastest call of late, if none of them was done within the time that is left.
    pub(super) fn hopeless(&self, left: Duration, now: Instant) -> Option<Duration> {
        // Most calls have more time than the last one took; for them this is all.
        let ((least, seen), (before, seen_before)) = (self.now.get(), self.before.get());
        let fastest = Duration::from_nanos(least.min(before));
        if left >= fastest || seen.saturating_add(seen_before) < ENOUGH {
            return None;
        }
        if self.turn(now) {
            return self.hopeless(left, now);
        }
        let (at, last) = (self.at(now).max(1), self.probed.load(Ordering::Relaxed));
        let is_due = last == 0 || at.saturating_sub(last) > nanos(PROBE);
        if is_due && self.probed.compare_exchange(last, at, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return None;
        }
        Some(fastest)
    }

    fn at(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.began))
    }

    /// Begins the next window if it is time; tells whether it was.
    fn turn(&self, now: Instant) -> bool {
        let (window, last) = (self.at(now) / nanos(WINDOW), self.window.load(Ordering::Relaxed));
        if window <= last || self.window.compare_exchange(last, window, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        let (nanos, seen) = if window == last + 1 { self.now.get() } else { (u64::MAX, 0) };
        self.before.set(nanos, seen);
        self.now.set(u64::MAX, 0);
        true
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(calls: u32) -> (Fastest, Instant) {
        let fastest = Fastest::new();
        let now = fastest.began + SECOND;
        (0..calls).for_each(|i| fastest.note(SECOND * (2 + i), now));
        // The first that looks hopeless is the probe.
        fastest.hopeless(Duration::ZERO, now);
        (fastest, now)
    }

    #[test]
    fn a_call_is_hopeless_that_has_less_time_than_the_fastest_took() {
        let (fastest, now) = after(ENOUGH);
        assert_eq!(fastest.hopeless(SECOND, now), Some(SECOND * 2));
        assert_eq!(fastest.hopeless(SECOND * 2, now), None);
    }

    #[test]
    fn a_few_calls_prove_nothing() {
        let (fastest, now) = after(ENOUGH - 1);
        assert_eq!(fastest.hopeless(SECOND, now), None);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (fastest, now) = after(ENOUGH);
        assert_eq!(fastest.hopeless(SECOND, now + WINDOW), None, "a probe");
        assert_eq!(fastest.hopeless(SECOND, now + WINDOW), Some(SECOND * 2), "the window before");
        assert_eq!(fastest.hopeless(SECOND, now + WINDOW * 2), None);
        assert_eq!(fastest.hopeless(SECOND, now + WINDOW * 2), None);
    }

    #[test]
    fn a_hopeless_call_is_begun_now_and_then() {
        let (fastest, now) = after(ENOUGH);
        let begun = (0..100).filter(|i| fastest.hopeless(SECOND, now + SECOND * *i / 10).is_none()).count();
        assert!((10..=25).contains(&begun), "{begun}");
        fastest.note(SECOND / 2, now);
        assert_eq!(fastest.hopeless(SECOND, now), None, "one that was done in time ends it");
    }
}
