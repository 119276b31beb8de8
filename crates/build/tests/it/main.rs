//! What comes out of a .proto: the code is compiled here, read and written, and called.
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, warnings, clippy::pedantic)]
#![allow(clippy::missing_panics_doc, reason = "tests panic where they fail")]

mod calls;
mod errors;
mod json;
mod output;
mod payload;

/// The packages of `proto/`, each in its place.
pub mod kinds {
    include!("generated/micro_protos.rs");
}
