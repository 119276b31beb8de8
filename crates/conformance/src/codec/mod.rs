//! The codec suite.

mod cases;
mod damage;
mod fixture;
mod form;
mod gate;
mod run;
mod sample;
mod stage;
mod values;

pub use cases::{Case, cases};
pub use fixture::{Encoded, Fields, Fixture, Unknown};
pub use gate::Need;
pub use run::{check, run};
pub use sample::Sample;
pub use stage::Stage;
