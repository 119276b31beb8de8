//! Trying again.

mod backoff;
mod budget;
mod layer;

pub use backoff::Backoff;
pub use budget::Budget;
pub use layer::RetryLayer;

use micro_core::{Error, Kind, Retry};

/// Tells whether another try of what may have run can help, if it may run twice.
pub(crate) fn can_help(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Timeout | Kind::Internal | Kind::Unavailable | Kind::Refused | Kind::ResourceExhausted | Kind::Unknown
    )
}

/// Tells whether another try of what surely did not run can help.
pub(crate) fn is_worth_it(error: &Error) -> bool {
    error.retry() != Retry::Never
}
