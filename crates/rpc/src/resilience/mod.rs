//! What keeps callers well while servers are not: retries within a budget, hedging, circuit breakers, limits.
//!
//! | folder | what it does | without a word |
//! |---|---|---|
//! | `deadline` | one limit for a call and all its tries | 5 s |
//! | `retry` | tries again what surely did not run or is idempotent, after growing pauses, within a [`Budget`] | one retry, a tenth of the calls |
//! | `hedge` | asks a second node when the first is slow ([`Hedge`]) | off |
//! | `breaker` | calls no node and endpoint that only fails ([`Breaker`]) | off |
//! | `concurrency` | so many calls at once ([`Concurrency`]) | off |
//! | `rate` | so many calls a second ([`Rate`]) | off |
//!
//! The client has them built in, in this order: rate and concurrency let a call in, its tries share its deadline, each try
//! goes past the breaker of its node. They are set for a client by [`ClientBuilder`](crate::ClientBuilder), for a call by its
//! own methods, for a service by `--client_…` flags. Each is a [`tower_layer::Layer`] as well, for any tower service whose
//! error is [`micro_core::Error`].

mod breaker;
mod concurrency;
mod deadline;
mod guarded;
mod hedge;
mod rate;
mod retry;

pub use breaker::{Breaker, BreakerLayer, Circuit, Trial};
pub use concurrency::{Concurrency, ConcurrencyLayer, Place};
pub use deadline::DeadlineLayer;
pub use guarded::{Guard, Guarded};
pub use hedge::{Hedge, HedgeLayer};
pub use rate::{Rate, RateLayer};
pub use retry::{Backoff, Budget, RetryLayer};

pub(crate) use breaker::refused;
pub(crate) use hedge::first_answer;
pub(crate) use retry::{can_help, is_worth_it};

use futures_util::future::BoxFuture;
use micro_core::Error;

/// What a layer's service returns.
pub type Answering<T> = BoxFuture<'static, Result<T, Error>>;

/// What the layers that repeat a request ask of it.
pub trait Repeatable: Clone + Send + 'static {
    /// Tells whether it may run twice without harm. By default it may not.
    fn is_idempotent(&self) -> bool {
        false
    }
}

/// Tells whether an error speaks against who was called, not against what was asked.
fn is_failure(error: &Error) -> bool {
    micro_core::selector::Outcome::failed(error, None, tokio::time::Instant::now()).is_failure()
}
