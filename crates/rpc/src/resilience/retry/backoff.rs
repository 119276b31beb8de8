use std::time::Duration;

use micro_core::{Error, Retry};

/// Pauses between tries: they double from a first to a longest, less up to a half at random, so that callers do not come
/// back all at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_rpc::resilience::Backoff;
///
/// let pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(1)).pause(2);
/// assert!(pause >= Duration::from_millis(200) && pause <= Duration::from_millis(400));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    /// From 50 ms to 2 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(2))
    }
}

impl Backoff {
    /// Sets the first pause and the longest.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the pause behind so many failed tries before the last: 0 is the first pause.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        let most = self.first.saturating_mul(1 << failed.min(20)).min(self.longest);
        most.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Returns the pause behind an error, which may ask for a longer one.
    pub(crate) fn pause_after(&self, error: &Error, failed: u32) -> Duration {
        match error.retry() {
            // What every error of its kind says is nobody's wish.
            Retry::After(asked) if error.retry() != error.kind().retry() => self.pause(failed).max(asked),
            _ => self.pause(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use micro_core::Kind;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_fall_in_step() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for (failed, most) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
            let pauses: Vec<_> = (0..100).map(|_| backoff.pause(failed).as_millis()).collect();
            assert!(pauses.iter().all(|pause| (most / 2..=most).contains(pause)), "{failed}: {pauses:?}");
            assert!(pauses.iter().any(|pause| pause != &pauses[0]), "{failed}: all the same");
        }
    }

    #[test]
    fn an_error_may_ask_for_a_longer_pause() {
        let error = Error::new(Kind::Unavailable, "x").with_retry(Retry::After(Duration::from_secs(3)));
        assert_eq!(Backoff::default().pause_after(&error, 0), Duration::from_secs(3));
    }
}
