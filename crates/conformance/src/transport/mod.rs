//! The transport suite: client and server of calls.

mod calls;
mod cases;
mod fixture;
mod gate;
mod handlers;
mod load;
mod method;
mod run;
mod secure;
mod service;
mod stage;
mod stopping;
mod streams;
mod time;

pub use cases::{Case, cases};
pub use fixture::{Call, Capability, Client, ClientOptions, Fixture, Receiver, Sender, Server, ServerOptions, Upload};
pub use gate::Need;
pub use method::{Handler, Method};
pub use run::{check, run};
pub use stage::{Stage, World};

pub use crate::Limits;
