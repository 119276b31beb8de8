//! What the macros write is compiled here and run.

mod payload;

/// What the code takes everything from, as the facade has it.
mod codegen {
    pub(crate) use micro_core as core;
    pub(crate) use {bytes, serde};
}
