//! What the macros write is compiled here and run.

mod handler;
mod payload;
mod subscriber;

/// What the code takes everything from, as the facade has it.
mod codegen {
    pub(crate) use micro_event as event;
    pub(crate) use micro_rpc::codegen::*;
}
