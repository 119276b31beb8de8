//! Asking a second node when the first is slow.

mod layer;

use std::time::Duration;

pub use layer::HedgeLayer;
pub(crate) use layer::first_answer;

/// When a second try is begun beside the first.
///
/// Only for calls that are [idempotent](crate::Call::idempotent): both may run. The first answer counts, the other try is
/// cancelled. Further tries come out of the retry budget, so that slow servers are not called twice as much.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_rpc::Client;
/// use micro_rpc::resilience::Hedge;
///
/// let client = Client::builder().hedge(Hedge::after(Duration::from_millis(50))).build();
/// # let _ = client;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    after: Duration,
}

impl Hedge {
    /// Begins a second try when the first has had no answer for so long: a little over what most calls take.
    #[must_use]
    pub const fn after(pause: Duration) -> Self {
        Self { after: pause }
    }

    /// Returns the pause.
    #[must_use]
    pub const fn pause(&self) -> Duration {
        self.after
    }
}
