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
mod stage;
mod watching;

pub use cases::{Case, cases};
pub use child::{Child, stay_registered};
pub use fixture::{Fixture, Outage, Process};
pub use gate::Need;
pub use run::{check, run};
pub use stage::Stage;

pub use crate::Limits;
