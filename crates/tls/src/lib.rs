//! TLS for the connections of micro-rs: rustls with ring, the one crypto provider.
//!
//! What certificates there are is said by `micro_core::tls`, in files. They are read again when they changed, at most once
//! a second and only when somebody connects: a renewed certificate needs no restart, and open connections are left alone.
//! A renewal that cannot be read is logged once, and what was read before stays.

mod acceptor;
mod connector;
mod files;
mod trouble;
mod unverified;
mod watched;

pub use acceptor::Acceptor;
pub use connector::Connector;
pub use tokio_rustls::{client::TlsStream as ClientStream, server::TlsStream as ServerStream};
pub use trouble::{rejected, why};
