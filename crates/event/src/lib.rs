//! Typed publish and subscribe over any broker.
//!
//! What every broker would otherwise do in its own way is written here once, above the interface of
//! [`micro_core::broker`]: encoding by content type, lanes by key, bounded retry, dead letters, time limits, batches, and a
//! stop that loses nothing and counts nothing as a failure.
//!
//! | to | see |
//! |---|---|
//! | publish | [`Events::event`], [`Event::publish`], [`Event::publish_all`] |
//! | receive | [`subscriber`], [`batch_subscriber`], [`raw_subscriber`], [`struct_subscriber`], [`Events::subscribe`] |
//! | say that trying again is no use | [`reject`] |
//! | look after what failed | [`dead_letter`], [`EventsBuilder::on_failure`] |
//!
//! # What is promised
//!
//! A message is settled after its handler. One that fails is tried again with growing pauses ([`RetryPolicy`]) and then
//! kept on `<topic>.dead`; only when that is confirmed is the original settled. What cannot be decoded goes there at once.
//! A panic and a time-out are failures; a stop never is. Messages of one key are handled one at a time and in their order,
//! those of other keys meanwhile.
//!
//! # Metrics
//!
//! `micro_event_published_total{topic, outcome}`, `micro_event_handled_total{topic, queue, outcome}`,
//! `micro_event_in_flight{topic, queue}`, `micro_event_handle_seconds{topic, queue}`, and `micro_event_behind{topic, queue}`:
//! 1 while a slow consumer has all that it may have in flight, which is logged too. They go to the recorder that is installed when the event or the subscription is made. Handlers that return at once are timed four together; of these a
//! slow one counts with the time of all four.

pub mod dead_letter;
mod decode;
mod events;
mod failure;
pub mod headers;
mod publish;
mod retry;
mod run;
mod subscribe;
mod watch;

pub use events::{Events, EventsBuilder};
pub use failure::reject;
pub use publish::{Event, Publish, PublishAll, Publishing};
pub use retry::RetryPolicy;
pub use subscribe::{
    BatchOutcome, EventHandler, EventsHandler, Method, Subscribed, Subscriber, SubscriberMethods, batch_subscriber,
    raw_subscriber, struct_subscriber, subscriber,
};
pub use watch::{AfterFailure, HandlerFailure};
