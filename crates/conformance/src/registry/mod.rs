//! The registry suite.

mod cases;
mod child;
mod churn;
mod fixture;
mod followed;
mod gate;
mod life;
mod outage;
mod records;
mod refusing;
mod run;
mod server;
mod stage;
pub mod steps;
mod watching;

pub use cases::{Case, cases};
pub use child::{Child, stay_registered};
pub use fixture::{Fixture, Outage, Process};
pub use gate::Need;
pub use run::{check, run};
pub use server::{OneServer, Plugin, Server, other_address};
pub use stage::Stage;

pub use crate::Limits;
