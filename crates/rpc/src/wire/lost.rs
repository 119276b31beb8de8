//! What became of a call whose stream or connection broke.

use micro_core::{Error, Kind};

use super::status::CLIENT;

/// Tells whether the other side surely did not begin the call: it refused the stream, or said on leaving that it would
/// not look at it.
pub(crate) fn surely_not_run(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Returns our error for one of the connection layer's.
pub(crate) fn error(error: &h2::Error) -> Error {
    let (kind, text) = match error.reason() {
        Some(h2::Reason::CANCEL) => (Kind::Cancelled, "the other side cancelled the call".to_owned()),
        Some(h2::Reason::REFUSED_STREAM) => {
            (Kind::Unavailable, "the other side refused the call, having too many or stopping".to_owned())
        }
        Some(reason) if error.is_go_away() => {
            (Kind::Unavailable, format!("the other side closed the connection ({})", reason.description()))
        }
        Some(reason) => (Kind::Unavailable, format!("the other side ended the call ({})", reason.description())),
        None => (Kind::Unavailable, "the connection was lost before the answer came".to_owned()),
    };
    let made = Error::new(kind, text).id(CLIENT);
    match error.get_io() {
        Some(io) => made.source(std::io::Error::new(io.kind(), io.to_string())),
        None => made,
    }
}
