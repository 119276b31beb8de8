//! What the tests of this crate share.

mod handshakes;
mod renewal;
