//! The registry suite.

mod cases;
mod fixture;
mod life;
mod records;
mod run;
mod stage;
mod watching;

pub use cases::{Case, cases};
pub use fixture::Fixture;
pub use run::{check, run};
pub use stage::Stage;

pub use crate::Limits;
