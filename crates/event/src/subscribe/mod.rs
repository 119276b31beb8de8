//! What a user writes to receive events.

mod batch;
mod handler;
mod layered;
mod methods;
mod subscribed;
mod subscriber;

pub(crate) use batch::BatchHandler;
pub use batch::{BatchOutcome, EventsHandler};
pub use handler::EventHandler;
pub(crate) use handler::{Handler, Place};
pub use methods::{Method, SubscriberMethods};
pub(crate) use subscribed::Command;
pub use subscribed::Subscribed;
pub(crate) use subscriber::{Settings, Work};
pub use subscriber::{Subscriber, batch_subscriber, raw_subscriber, struct_subscriber, subscriber};
