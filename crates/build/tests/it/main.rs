//! What comes out of a .proto: the code is compiled here, read and written, and called.
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, warnings, clippy::pedantic)]
#![allow(clippy::missing_panics_doc, reason = "tests panic where they fail")]

mod errors;
mod json;
mod output;
mod payload;

/// What generated code takes everything from, as the facade has it.
pub mod codegen {
    pub use micro_core as core;
    pub use {bytes, prost, serde};
}

/// The packages of `proto/`, each in its place.
pub mod kinds {
    include!("generated/micro_protos.rs");
}
