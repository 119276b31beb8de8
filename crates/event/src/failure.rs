use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use micro_core::broker::Reason;
use micro_core::{Error, Kind};

/// Marks an error of a handler: trying again is no use, so the message goes to the dead letters at once.
///
/// Any other error is retried as the subscriber's [`RetryPolicy`](crate::RetryPolicy) says, whatever its kind.
///
/// # Examples
///
/// ```
/// use micro_core::{Error, Result};
/// use micro_event::reject;
///
/// fn ship(quantity: i64) -> Result<()> {
///     if quantity < 0 {
///         return Err(reject(Error::bad_request("warehouse", "a negative quantity")));
///     }
///     Ok(())
/// }
/// assert_eq!(ship(-1).unwrap_err().to_string(), "rejected by the handler: a negative quantity");
/// ```
#[must_use]
pub fn reject(error: Error) -> Error {
    Error::new(error.kind(), "rejected by the handler")
        .id(error.get_id())
        .with_code(error.code())
        .source(Rejected(error))
}

#[derive(Debug)]
struct Rejected(Error);

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Rejected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        StdError::source(&self.0)
    }
}

/// Why a message was not handled.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Set if trying again is no use.
    pub(crate) permanent: Option<Reason>,
}

impl Failure {
    pub(crate) fn decode(error: Error) -> Self {
        Self { error, permanent: Some(Reason::Decode) }
    }

    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Error::new(Kind::Internal, format!("the handler panicked: {text}")).into()
    }

    pub(crate) fn late(limit: Duration) -> Self {
        Error::new(
            Kind::Timeout,
            format!("the handler was not done within its time limit of {limit:?} and was cancelled; raise it by time_limit(…)"),
        )
        .into()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { error: self.error.duplicate(), permanent: self.permanent }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut cause = StdError::source(&error);
        while let Some(inner) = cause {
            if inner.is::<Rejected>() {
                return Self { error, permanent: Some(Reason::Rejected) };
            }
            cause = inner.source();
        }
        Self { error, permanent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_error_is_known_through_what_wraps_it() {
        let wrapped =
            Error::internal("shop", "cannot ship").source(reject(Error::not_found("stock", "no such article")));
        assert_eq!(Failure::from(wrapped).permanent, Some(Reason::Rejected));
        assert_eq!(Failure::from(Error::not_found("stock", "no such article")).permanent, None);
    }
}
