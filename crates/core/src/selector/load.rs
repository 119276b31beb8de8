//! How busy, how slow and how faulty a node is, in numbers that change without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::clock;

/// The load of a node, as this process sees it.
pub(super) struct Load {
    in_flight: AtomicU32,
    /// Since when it takes calls, in milliseconds.
    since: AtomicU64,
    /// Nanoseconds.
    latency: Fading,
    /// From 0, all is well, to 1, every call fails.
    failing: Fading,
}

/// What part of a step, up or down, is taken with each call at least. Falling over time alone, a busy node would stay as
/// slow as its worst moments were, and one that is always slow would look no worse.
const STEP: f32 = 0.1;

/// What part of the way to 1 a failure goes, and to 0 a success.
const BLAME: f32 = 0.1;

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            since: AtomicU64::new(clock::millis(now)),
            latency: Fading::default(),
            failing: Fading::default(),
        }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        let nanos = self.latency.last();
        (nanos > 0.0).then(|| Duration::from_nanos(nanos as u64))
    }

    /// Begins the node's slow start anew.
    pub(super) fn returned(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    /// Returns for how many milliseconds it has taken calls.
    pub(super) fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.since.load(Ordering::Relaxed))
    }

    /// Returns the latency in nanoseconds, fading while nobody calls; zero before the first answer.
    pub(super) fn fading_latency(&self, now: u64, decay: f32) -> f32 {
        self.latency.now(now, decay)
    }

    /// Returns how many times as slow its failures make it count: 1 if it has none, 101 if there is nothing else.
    pub(super) fn fault(&self, now: u64, decay: f32) -> f32 {
        let failing = self.failing.now(now, decay);
        1.0 + 100.0 * failing * failing
    }

    /// Takes how long a call took: a tenth of the way, and down over the time of `decay`.
    pub(super) fn took(&self, took: Duration, now: u64, decay: f32) {
        let took = (took.as_nanos() as f32).max(1.0);
        self.latency.change(now, |before, idle| {
            if before == 0.0 {
                took
            } else if took > before {
                before + (took - before) * STEP
            } else {
                let kept = (-idle / decay).exp().min(1.0 - STEP);
                before * kept + took * (1.0 - kept)
            }
        });
    }

    /// Takes that a call took at least so long, and perhaps longer.
    pub(super) fn took_at_least(&self, took: Duration, now: u64, decay: f32) {
        if took.as_nanos() as f32 > self.latency.last() && self.latency.last() > 0.0 {
            self.took(took, now, decay);
        }
    }

    pub(super) fn failed(&self, now: u64, decay: f32) {
        self.failing.change(now, |before, idle| {
            let before = before * (-idle / decay).exp();
            before + (1.0 - before) * BLAME
        });
    }

    pub(super) fn succeeded(&self, now: u64, decay: f32) {
        if self.failing.last() > 0.0 {
            self.failing.change(now, |before, idle| {
                let left = before * (-idle / decay).exp() * (1.0 - BLAME);
                if left < 0.001 { 0.0 } else { left }
            });
        }
    }
}

/// A number that fades: its value and when it was that, in milliseconds that wrap, in one word.
#[derive(Default)]
struct Fading(AtomicU64);

/// How often a change is tried while others change it too; a lost sample is no harm.
const TRIES: usize = 8;

impl Fading {
    fn last(&self) -> f32 {
        f32::from_bits((self.0.load(Ordering::Relaxed) >> 32) as u32)
    }

    /// Returns the value, `decay` milliseconds being the time in which it falls to a third.
    fn now(&self, now: u64, decay: f32) -> f32 {
        let word = self.0.load(Ordering::Relaxed);
        let (value, idle) = Self::read(word, now);
        if value == 0.0 || idle == 0.0 { value } else { value * (-idle / decay).exp() }
    }

    fn read(word: u64, now: u64) -> (f32, f32) {
        let ago = (now as u32).wrapping_sub(word as u32);
        // Another core's clock may be ahead a little.
        let ago = if ago > u32::MAX / 2 { 0 } else { ago };
        (f32::from_bits((word >> 32) as u32), ago as f32)
    }

    fn change(&self, now: u64, to: impl Fn(f32, f32) -> f32) {
        let mut word = self.0.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            let (value, idle) = Self::read(word, now);
            let next = (u64::from(to(value, idle).to_bits()) << 32) | (now & 0xffff_ffff);
            match self.0.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: f32 = 10_000.0;

    #[test]
    fn the_latency_follows_in_some_ten_calls_and_falls_over_the_decay() {
        let load = Load::new(Instant::now());
        let at = |now, millis| {
            load.took(Duration::from_millis(millis), now, DECAY);
            load.fading_latency(now, DECAY) / 1e6
        };
        assert_eq!(at(1_000, 10), 10.0);
        assert!((at(1_000, 110) - 20.0).abs() < 0.01, "a tenth of the way at once");
        assert!((at(1_001, 10) - 19.0).abs() < 0.01, "and back");
        assert!((at(11_001, 10) - (10.0 + 9.0 / std::f32::consts::E)).abs() < 0.1, "further after some time");
    }

    #[test]
    fn the_latency_of_a_node_nobody_calls_fades() {
        let load = Load::new(Instant::now());
        load.took(Duration::from_millis(10), 1_000, DECAY);
        assert!((load.fading_latency(11_000, DECAY) / 1e6 - 10.0 / std::f32::consts::E).abs() < 0.01);
        assert_eq!(load.latency(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_call_given_up_can_only_make_a_node_slower() {
        let load = Load::new(Instant::now());
        load.took_at_least(Duration::from_secs(9), 1_000, DECAY);
        assert_eq!(load.latency(), None);
        load.took(Duration::from_millis(10), 1_000, DECAY);
        load.took_at_least(Duration::from_millis(5), 9_000, DECAY);
        assert_eq!(load.latency(), Some(Duration::from_millis(10)));
        load.took_at_least(Duration::from_millis(50), 9_000, DECAY);
        assert!((13..=14).contains(&load.latency().unwrap().as_millis()), "{:?}", load.latency());
    }

    #[test]
    fn failures_add_up_and_successes_and_time_forgive_them() {
        let load = Load::new(Instant::now());
        assert_eq!(load.fault(1_000, DECAY), 1.0);
        load.failed(1_000, DECAY);
        assert!((load.fault(1_000, DECAY) - 2.0).abs() < 0.01, "one failure is as twice as slow");
        for _ in 0..20 {
            load.failed(1_000, DECAY);
        }
        let after = load.fault(1_000, DECAY);
        assert!(after > 70.0 && load.fault(31_000, DECAY) < 2.0, "{after}");
        for _ in 0..100 {
            load.succeeded(1_000, DECAY);
        }
        assert_eq!(load.fault(1_000, DECAY), 1.0);
    }
}
