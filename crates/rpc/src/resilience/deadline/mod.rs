//! One limit for a call and all its tries.

mod layer;

pub use layer::DeadlineLayer;
