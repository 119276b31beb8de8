use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Kind};

/// How a call on a node went.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    end: End<'a>,
    took: Option<Duration>,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum End<'a> {
    Answered,
    Failed(&'a Error),
    GivenUp,
}

impl<'a> Outcome<'a> {
    /// The node answered. `took` is from when the call was sent; `None` for a stream, whose length says nothing.
    #[must_use]
    pub fn answered(took: impl Into<Option<Duration>>, at: Instant) -> Self {
        Self { end: End::Answered, took: took.into(), at }
    }

    /// The call ended with an error.
    #[must_use]
    pub fn failed(error: &'a Error, took: impl Into<Option<Duration>>, at: Instant) -> Self {
        Self { end: End::Failed(error), took: took.into(), at }
    }

    /// The caller no longer wanted the answer.
    #[must_use]
    pub fn given_up(took: impl Into<Option<Duration>>, at: Instant) -> Self {
        Self { end: End::GivenUp, took: took.into(), at }
    }

    /// Returns how long it took, or was waited for.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Returns when it ended.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Returns the error.
    #[must_use]
    pub fn error(&self) -> Option<&'a Error> {
        match self.end {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Tells whether the caller gave the call up, by dropping it or by its own limits ([`Kind::Cancelled`]).
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        match self.end {
            End::Answered => false,
            End::Failed(error) => error.kind() == Kind::Cancelled,
            End::GivenUp => true,
        }
    }

    /// Tells whether it speaks against the node: it cannot be reached or broke off ([`Kind::Refused`],
    /// [`Kind::Unavailable`]), did not answer in time ([`Kind::Timeout`]), has a bug ([`Kind::Internal`]), or its disk
    /// fails it.
    ///
    /// An answer such as [`Kind::NotFound`], [`Kind::Conflict`] or an error of the user's own ([`Kind::Unknown`]) is an
    /// answer, and a call given up says nothing.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.error().is_some_and(|error| {
            matches!(
                error.kind(),
                Kind::Refused
                    | Kind::Unavailable
                    | Kind::Timeout
                    | Kind::Internal
                    | Kind::DiskFull
                    | Kind::ReadOnly
                    | Kind::Corrupt
            )
        })
    }

    /// Tells whether the node, or a limit of the caller's there, has too much to do ([`Kind::ResourceExhausted`]): a reason
    /// to send less, none to send nothing.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        self.error().is_some_and(|error| error.kind() == Kind::ResourceExhausted)
    }

    /// Tells whether the node did its work: it answered, if only that the caller is wrong.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.is_given_up() && !self.is_overload() && !self.is_failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_application_is_no_failure_of_the_node() {
        let at = Instant::now();
        for kind in [Kind::NotFound, Kind::Conflict, Kind::InvalidArgument, Kind::Forbidden, Kind::Unknown] {
            let error = Error::new(kind, "x");
            let outcome = Outcome::failed(&error, None, at);
            assert!(outcome.is_success() && !outcome.is_failure(), "{kind:?}");
        }
        for kind in [Kind::Refused, Kind::Unavailable, Kind::Timeout, Kind::Internal] {
            let error = Error::new(kind, "x");
            assert!(Outcome::failed(&error, None, at).is_failure(), "{kind:?}");
        }
        let error = Error::new(Kind::ResourceExhausted, "x");
        let overload = Outcome::failed(&error, None, at);
        assert!(overload.is_overload() && !overload.is_failure() && !overload.is_success());
        let given_up = Outcome::given_up(None, at);
        assert!(!given_up.is_success() && !given_up.is_failure());
    }
}
