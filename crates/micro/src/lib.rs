//! Services that call each other and tell each other what happened.
//!
//! This crate is what a program depends on; it brings the others. Start with [`Service`].
//!
//! ```no_run
//! use micro::prelude::*;
//!
//! #[derive(Debug, Serialize, Deserialize, Payload)]
//! struct Order {
//!     id: String,
//! }
//!
//! #[tokio::main]
//! async fn main() -> micro::Result<()> {
//!     let mut orders = Service::new("orders")?;
//!     let created = orders.event::<Order>("orders.created");
//!     orders.handle(Endpoint::unary("Orders.Place", move |_ctx, order: Order| {
//!         let created = created.clone();
//!         async move {
//!             created.publish(&order).key(order.id.clone()).await?;
//!             Ok(order)
//!         }
//!     }));
//!     orders.run().await
//! }
//! ```
//!
//! # Middleware
//!
//! What stands round all handlers, round the calls that a service makes, or round its events, is a function of context,
//! request and what comes next, or any `tower` layer; see [`middleware`] and [`ServiceBuilder::layer`]. Ready-made are
//! [`middleware::logging`], [`middleware::timeout`] and [`middleware::allow`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `broker-embedded` | yes, by `embedded` | `--broker embedded`: durable topics and queues in a folder, no server |
//! | `broker-kafka` | no | `--broker kafka`: a cluster of Kafka servers; builds the C library librdkafka |
//! | `registry-embedded` | yes, by `embedded` | `--registry embedded`: the services of this machine |
//! | `registry-mdns` | yes, by `mdns` | `--registry mdns`: the services of the local network, go-micro's too |
//! | `full` | no | every plugin |
//!
//! Without any there is `memory`, for one process.

#[doc(hidden)]
pub mod codegen;
mod debug;
pub mod logging;
mod plugins;
pub mod prelude;
mod probe;
mod service;
mod settings;
mod signals;

pub use micro_core::codec::Payload;
pub use micro_core::{
    Context, Error, Headers, Kind, Result, Retry, address, broker, codec, context, middleware, registry, selector, tls,
};
pub use micro_event::{
    Event, Events, Subscribed, Subscriber, batch_subscriber, dead_letter, raw_subscriber, struct_subscriber, subscriber,
};
pub use micro_macros::{Payload, handler, subscriber};
pub use micro_rpc::{Client, Endpoint, Endpoints, Receiver, Sender};

/// Typed publish and subscribe in full: what [`Service`] uses.
pub use micro_event as event;
/// Calls in full: what [`Service`] uses.
pub use micro_rpc as rpc;

pub use plugins::IntoPlugin;
pub use service::{Running, Service, ServiceBuilder, run_all};
pub use settings::{Args, Flag};

/// Brings in what `micro_build::compile` has made of a .proto: by its package, or the file's name where it has none.
///
/// ```ignore
/// micro::include_proto!("greet");
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:tt) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}

/// The example of the README, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The page on middleware, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/middleware.md")]
struct MiddlewarePage;
