//! The Rust side of the interop tests: the greeter that the Go peer has, too.

mod greeter;

/// The messages, the handler trait and the client of proto/greeter.proto.
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/greeter.rs"));
}

pub use greeter::RustGreeter;
