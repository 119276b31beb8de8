use std::fmt;
use std::time::Duration;

use super::Retry;

/// What sort of failure it is: decides the code, the gRPC status and whether a retry can help.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value the caller gave is wrong.
    InvalidArgument,
    /// A topic or queue name breaks the portable rule.
    InvalidTopic,
    /// A body does not decode, or a message names no content type.
    Decode,
    /// A value does not encode.
    Encode,
    /// The content type is none that this program reads.
    UnsupportedContentType,
    /// A setting is unknown, missing or contradicts another.
    Config,
    /// No plugin has this name; the text lists the known ones.
    UnknownPlugin,
    /// Nobody is logged in, or the token is wrong.
    Unauthenticated,
    /// The account may not do this.
    Forbidden,
    /// The named thing is not there.
    NotFound,
    /// The service has no such endpoint.
    UnknownEndpoint,
    /// The service is not registered, or none of its nodes passes the filters.
    NoNode,
    /// Nobody listens where the request went: surely not done.
    NoResponder,
    /// The time given is over; it may or may not have been done.
    Timeout,
    /// The caller went away.
    Cancelled,
    /// The thing is there already, or changed meanwhile.
    Conflict,
    /// A condition that the call names does not hold.
    FailedPrecondition,
    /// A message or body is over a limit.
    TooLarge,
    /// Too many at once; later is better.
    ResourceExhausted,
    /// The plugin does not declare this capability.
    Unsupported,
    /// The other side cannot be reached, or went away in the middle.
    Unavailable,
    /// The connection was refused: surely not done.
    Refused,
    /// It was used after it was closed, or is stopping.
    Closed,
    /// The disk is full.
    DiskFull,
    /// The folder or file cannot be written.
    ReadOnly,
    /// The data on disk is damaged.
    Corrupt,
    /// The data on disk is of a newer program.
    NewerVersion,
    /// A bug: a panic in a handler, a broken invariant.
    Internal,
    /// None of the others: an error of the user's own, or one from the wire without a code.
    Unknown,
}

impl Kind {
    /// Returns the HTTP-like code: go-micro's `code`.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::InvalidArgument
            | Self::InvalidTopic
            | Self::Decode
            | Self::Encode
            | Self::Config
            | Self::UnknownPlugin => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::FailedPrecondition => 412,
            Self::TooLarge => 413,
            Self::UnsupportedContentType => 415,
            Self::ResourceExhausted => 429,
            Self::Cancelled => 499,
            Self::Unsupported | Self::UnknownEndpoint => 501,
            Self::Unavailable | Self::Refused | Self::Closed | Self::NoResponder => 503,
            Self::DiskFull => 507,
            Self::NoNode | Self::ReadOnly | Self::Corrupt | Self::NewerVersion | Self::Internal | Self::Unknown => 500,
        }
    }

    /// Returns the kind that a code of go-micro's stands for.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        match code {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 => Self::Conflict,
            412 => Self::FailedPrecondition,
            413 => Self::TooLarge,
            415 => Self::UnsupportedContentType,
            429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            500 => Self::Internal,
            501 => Self::Unsupported,
            502 | 503 => Self::Unavailable,
            507 => Self::DiskFull,
            _ => Self::Unknown,
        }
    }

    /// Returns whether trying again can help, where an error says nothing else.
    #[must_use]
    pub fn retry(self) -> Retry {
        match self {
            Self::Refused => Retry::Now,
            Self::Unavailable | Self::ResourceExhausted | Self::NoNode | Self::NoResponder => {
                Retry::After(Duration::from_millis(100))
            }
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
