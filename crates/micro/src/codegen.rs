//! What generated code stands on. Not for people to call: it changes with the generators.

pub use micro_event as event;
pub use micro_rpc::codegen::*;
