//! The broker suite.

mod away;
mod cases;
mod clock;
mod cluster;
mod events;
mod fixture;
mod gate;
mod groups;
mod holding;
mod hurry;
mod life;
mod options;
mod order;
mod outage;
mod patterns;
mod refusing;
mod replay;
mod requests;
mod routing;
mod run;
mod secrets;
mod settlement;
mod stage;
mod transactions;

pub use cases::{Case, cases, fault_cases};
pub use fixture::{Counted, Fixture, Guarded, REFUSED_AT, Server};
pub use gate::Need;
pub use run::{check, run, run_fault_case, run_fault_cases};
pub use stage::Stage;

pub use crate::Limits;
