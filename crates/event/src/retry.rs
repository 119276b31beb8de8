use std::time::Duration;

use micro_core::{Error, Retry};

/// As good as for ever, and yet a time that can be added to a clock: longer durations are cut to it.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How often, and with which pauses, a failing handler gets its message again.
///
/// Pauses double from `min` to `max`, each shortened by up to a fifth at random, so that messages that failed together do
/// not come back together. An error that asks for a longer pause ([`Retry::After`]) gets it, up to `max`.
///
/// # Examples
///
/// ```
/// use micro_event::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::new().attempts(3).pauses(Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(policy.max_attempts(), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    min: Duration,
    max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, min: Duration::from_millis(100), max: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Creates the usual policy: five attempts in all, pauses from 100 ms to 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the policy that gives up after the first failure.
    #[must_use]
    pub fn never() -> Self {
        Self::default().attempts(1)
    }

    /// Sets how often a handler is called with one message, the first time included; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub fn pauses(mut self, min: Duration, max: Duration) -> Self {
        self.min = min.min(FOREVER);
        self.max = max.max(min).min(FOREVER);
        self
    }

    /// Returns how often a handler is called with one message.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the pause after so many failures, or `None` if that was the last attempt.
    pub(crate) fn pause(&self, failures: u32, error: &Error) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        let pause = self.backoff(failures);
        match error.retry() {
            Retry::After(wish) => Some(pause.max(wish.min(self.max))),
            _ => Some(pause),
        }
    }

    /// Returns the pause after so many failures, without an end.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let pause = self.min.saturating_mul(1 << doublings).min(self.max);
        pause.mul_f64(fastrand::f64().mul_add(-0.2, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_core::Kind;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let policy = RetryPolicy::new().attempts(10).pauses(Duration::from_millis(100), Duration::from_millis(1000));
        let error = Error::new(Kind::Unknown, "no");
        for (failures, most) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (9, 1000)] {
            let pause = policy.pause(failures, &error).unwrap();
            let most = Duration::from_millis(most);
            assert!(pause <= most && pause >= most.mul_f64(0.79), "{failures}: {pause:?}");
        }
        assert_eq!(policy.pause(10, &error), None);
    }

    #[test]
    fn an_error_may_ask_for_a_longer_pause() {
        let error = Error::new(Kind::Unknown, "no").with_retry(Retry::After(Duration::from_secs(3)));
        assert_eq!(RetryPolicy::new().pause(1, &error), Some(Duration::from_secs(3)));
    }
}
