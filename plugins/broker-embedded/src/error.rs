use micro_core::{Error, Kind};

/// The answer of a broker that is not connected, or not any more.
pub(crate) fn closed() -> Error {
    Error::new(Kind::Closed, "the embedded broker is not connected; call connect() first")
}
