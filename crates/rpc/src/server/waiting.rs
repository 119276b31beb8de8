//! Load shedding: how long calls wait for their turn, and which of them are not begun any more.
//!
//! A core does one thing after another, so what there is too much of waits in its run queue. A call's wait has two parts:
//! that of its connection, from the moment when there was something to read to the moment when it was read, and its own,
//! from there to its first turn. Seen from outside both are latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// How long waits must be too long before calls are refused, and short enough before they no longer are.
const INTERVAL: Duration = Duration::from_millis(100);

/// Watches the waits of one core.
///
/// Where every call of an interval waited longer than the target, there is more work than the core can do: a queue that
/// stands, not a burst that passes. From then on a call that waited too long is not begun, until an interval passes
/// without any. A call that did not wait is always begun, so that an idle server refuses nobody.
#[derive(Debug)]
pub(super) struct Waiting {
    target: u64,
    began: Instant,
    /// When the interval ends, in nanoseconds since `began`, as all times here.
    until: AtomicU64,
    least: AtomicU64,
    most: AtomicU64,
    shedding: AtomicBool,
}

impl Waiting {
    pub(super) fn new(target: Duration) -> Self {
        Self {
            target: nanos(target),
            began: Instant::now(),
            until: AtomicU64::new(0),
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
            shedding: AtomicBool::new(false),
        }
    }

    /// Takes note of a call whose turn it is, and tells whether it is refused.
    pub(super) fn is_too_long(&self, waited: Duration, now: Instant) -> bool {
        let (waited, now) = (nanos(waited), nanos(now.saturating_duration_since(self.began)));
        let until = self.until.load(Ordering::Relaxed);
        let next = now.saturating_add(nanos(INTERVAL));
        if now >= until && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let (least, most) = (self.least.swap(waited, Ordering::Relaxed), self.most.swap(waited, Ordering::Relaxed));
            // An interval that ended long ago says nothing of now, unless somebody waited all the while.
            let is_recent = now.saturating_sub(until) < nanos(INTERVAL).max(waited);
            let shedding = match self.shedding.load(Ordering::Relaxed) {
                true => is_recent && most > self.target,
                false => is_recent && least > self.target && least != u64::MAX,
            };
            self.shedding.store(shedding, Ordering::Relaxed);
        } else {
            self.least.fetch_min(waited, Ordering::Relaxed);
            self.most.fetch_max(waited, Ordering::Relaxed);
        }
        waited > self.target && self.shedding.load(Ordering::Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The waker of a connection that notes when there was first something to do.
pub(super) struct Stamp {
    inner: AtomicWaker,
    began: Instant,
    /// Nanoseconds since `began`; 0 for never since the last look.
    woken: AtomicU64,
}

impl Stamp {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { inner: AtomicWaker::new(), began: Instant::now(), woken: AtomicU64::new(0) })
    }

    /// Wakes the task of `cx` from here on, and returns since when there is something to do.
    pub(super) fn turn(&self, cx: &Context<'_>) -> Option<Instant> {
        self.inner.register(cx.waker());
        match self.woken.swap(0, Ordering::AcqRel) {
            0 => None,
            woken => Some(self.began + Duration::from_nanos(woken)),
        }
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }
}

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.load(Ordering::Relaxed) == 0 {
            let now = nanos(self.began.elapsed()).max(1);
            let _ = self.woken.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        }
        self.inner.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    /// One call a millisecond with these waits, in milliseconds; returns which were refused.
    fn play(waiting: &Waiting, from: u64, waits: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let told = waits.into_iter().enumerate().map(|(i, waited)| {
            let now = waiting.began + Duration::from_millis(from + i as u64);
            waiting.is_too_long(Duration::from_millis(waited), now)
        });
        told.collect()
    }

    #[test]
    fn a_queue_that_stands_is_shed_and_a_burst_is_not() {
        let waiting = Waiting::new(TARGET);
        let burst = play(&waiting, 0, (0..95).chain([200, 300, 0]));
        assert!(!burst.contains(&true), "some did not wait");
        let standing = play(&waiting, 98, [60; 300]);
        let first = standing.iter().position(|refused| *refused).unwrap();
        assert!((100..=205).contains(&first), "{first}");
        assert!(standing[first..].iter().all(|refused| *refused));
    }

    #[test]
    fn a_call_that_did_not_wait_is_begun_while_others_are_shed() {
        let waiting = Waiting::new(TARGET);
        play(&waiting, 0, [60; 300]);
        assert_eq!(play(&waiting, 300, [60, 40, 60, 50, 51]), [true, false, true, false, true]);
    }

    #[test]
    fn shedding_ends_when_nobody_waits_too_long_any_more() {
        let waiting = Waiting::new(TARGET);
        play(&waiting, 0, [60; 300]);
        play(&waiting, 300, [10; 250]);
        assert_eq!(play(&waiting, 550, [60, 60]), [false, false]);
    }

    #[test]
    fn after_a_silence_everything_begins_anew() {
        let waiting = Waiting::new(TARGET);
        play(&waiting, 0, [60; 300]);
        // As after a stop of the whole process.
        assert_eq!(play(&waiting, 60_000, [59_000, 59_000, 0]), [false; 3]);
    }
}
