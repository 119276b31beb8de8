//! How a call went wrong on the server, before it is written as a status.

use micro_core::error::{WireError, status_text};
use micro_core::{Error, Kind};

/// go-micro's name for the server when it speaks for itself.
const SERVER: &str = "go.micro.server";

/// An answer that is no success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What a handler returned: JSON in the message, details beside it, the code by go-micro's table.
    Error(Error),
    /// What the server itself says in go-micro's JSON, with a gRPC code that the table does not give. Without details.
    Server { grpc: u8, error: Error },
    /// The server did not begin the call, and says so: a caller may repeat it elsewhere.
    Refused { grpc: u8, error: Error },
    /// What the server says as plain text, where go-micro does.
    Plain { grpc: u8, text: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// The answer to an unknown service or method. go-micro says "service" for both.
    pub(crate) fn unknown(name: impl std::fmt::Display) -> Self {
        Self::Plain { grpc: 12, text: format!("unknown service {name}") }
    }

    pub(crate) fn malformed_path(grpc: u8, path: &str) -> Self {
        Self::Plain { grpc, text: format!("malformed method name: {path:?}") }
    }

    pub(crate) fn content_type(content_type: &str) -> Self {
        let detail = format!("Unsupported Content-Type: {content_type}");
        Self::Server { grpc: 2, error: Error::internal(SERVER, detail) }
    }

    pub(crate) fn panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = (panic.downcast_ref::<&str>().copied())
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a value that is no text");
        Self::Server { grpc: 13, error: Error::internal(SERVER, format!("panic recovered: {text}")) }
    }

    /// A message over the limit: gRPC's own code for it.
    pub(crate) fn request(error: Error) -> Self {
        let grpc = match error.kind() {
            Kind::TooLarge => 8,
            Kind::Decode | Kind::UnsupportedContentType => 13,
            Kind::Unsupported => 12,
            _ => return Self::Error(error),
        };
        Self::Server { grpc, error: error.id(SERVER) }
    }

    /// Returns the error that a middleware sees.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Error(error) | Self::Server { error, .. } | Self::Refused { error, .. } => error,
            Self::Plain { text, .. } => Error::new(Kind::Unknown, text).id(SERVER),
        }
    }

    /// Returns what an error that passed through middleware was: what the server said itself bears its name.
    pub(crate) fn of_error(error: Error) -> Self {
        if error.get_id() == SERVER { Self::request(error) } else { Self::Error(error) }
    }

    pub(crate) fn deadline(error: Error) -> Self {
        Self::Server { grpc: 4, error: error.id(SERVER) }
    }

    /// A call that is one too many. gRPC's own code for it, not the 2 that go-micro's table makes of 429: other clients
    /// know it, and unlike 14 few of them repeat it at once, at the same server, which has enough to do.
    pub(crate) fn too_many(text: String) -> Self {
        Self::Refused { grpc: 8, error: Error::new(Kind::ResourceExhausted, text).id(SERVER) }
    }

    /// A call that has no time left to run.
    pub(crate) fn too_late(text: String) -> Self {
        Self::Refused { grpc: 4, error: Error::new(Kind::Timeout, text).id(SERVER) }
    }

    /// Returns the gRPC code.
    pub(crate) fn grpc(&self) -> u8 {
        match self {
            Self::Error(error) => super::status::grpc_code(error.code()),
            Self::Server { grpc, .. } | Self::Refused { grpc, .. } | Self::Plain { grpc, .. } => *grpc,
        }
    }

    /// Returns go-micro's form; `service` speaks where nobody said who does.
    pub(crate) fn wire(&self, service: &str) -> Option<WireError> {
        // Some clients read no more than 16 KiB of headers, where the text stands up to three times.
        const LONGEST: usize = 2 << 10;
        let (Self::Error(error) | Self::Server { error, .. } | Self::Refused { error, .. }) = self else { return None };
        let mut wire = WireError::from(error);
        if wire.id.is_empty() {
            service.clone_into(&mut wire.id);
        }
        if wire.detail.len() > LONGEST {
            wire.detail.truncate(wire.detail.floor_char_boundary(LONGEST));
            wire.detail.push('…');
        }
        status_text(wire.code).clone_into(&mut wire.status);
        Some(wire)
    }
}
