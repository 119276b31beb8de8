//! What the macros write is compiled here and run.

mod payload;
mod subscriber;

/// What the code takes everything from, as the facade has it.
mod codegen {
    pub(crate) use {bytes, serde};
    pub(crate) use {micro_core as core, micro_event as event};
}
