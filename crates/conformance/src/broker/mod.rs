//! The broker suite.

mod cases;
mod cluster;
mod events;
mod fixture;
mod gate;
mod groups;
mod life;
mod options;
mod order;
mod outage;
mod refusing;
mod replay;
mod routing;
mod run;
mod settlement;
mod stage;
mod transactions;

pub use cases::{Case, cases, fault_cases};
pub use fixture::{Fixture, Server};
pub use gate::Need;
pub use run::{check, run, run_fault_case, run_fault_cases};
pub use stage::Stage;

pub use crate::Limits;
