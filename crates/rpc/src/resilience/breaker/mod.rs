//! Calling nobody who only fails.

mod circuit;
mod layer;

use std::time::Duration;

pub use circuit::{Circuit, Trial};
pub use layer::BreakerLayer;
pub(crate) use layer::refused;

/// When a circuit opens, and for how long.
///
/// A circuit is that of one node and endpoint. It opens after so many failures in a row, or when half of its calls in ten
/// seconds failed; what counts as a failure is said by [`Outcome::is_failure`](micro_core::selector::Outcome::is_failure).
/// Open, it lets nothing through; after its time one call at a time is a trial: a success closes it, a failure opens it for
/// twice as long.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_rpc::Client;
/// use micro_rpc::resilience::Breaker;
///
/// let breaker = Breaker::new().failures(3).time(Duration::from_millis(500));
/// let client = Client::builder().breaker(breaker).build();
/// # let _ = client;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    failures: u32,
    share: f32,
    calls: u32,
    first: Duration,
    longest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Breaker {
    /// Opens after 5 failures in a row, or when half of at least 20 calls in ten seconds failed; for 1 s, then twice as long
    /// each time, up to 1 min.
    #[must_use]
    pub const fn new() -> Self {
        Self { failures: 5, share: 0.5, calls: 20, first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }

    /// Sets how many failures in a row open it; 0 is never.
    #[must_use]
    pub const fn failures(mut self, in_a_row: u32) -> Self {
        self.failures = in_a_row;
        self
    }

    /// Sets which share of failed calls opens it, from 0 to 1, and of how many calls at least in ten seconds. A share over 1
    /// is never reached.
    #[must_use]
    pub const fn error_rate(mut self, share: f32, calls: u32) -> Self {
        self.share = share;
        self.calls = if calls == 0 { 1 } else { calls };
        self
    }

    /// Sets for how long it opens the first time.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.first = time;
        self
    }

    /// Sets for how long it opens at most.
    #[must_use]
    pub const fn longest(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }
}
