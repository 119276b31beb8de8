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
//! | `registry-etcd` | no | `--registry etcd`: etcd 3.4 or newer, together with go-micro programs |
//! | `registry-nats` | no | `--registry nats`: any NATS server, together with go-micro programs; JetStream is not needed |
//! | `registry-zookeeper` | no | `--registry zookeeper`: ZooKeeper 3.6 or newer, together with go-micro programs |
//! | `broker-kafka` | no | `--broker kafka`: a cluster of Kafka servers; builds the C library librdkafka |
//! | `registry-consul` | no | `--registry consul`: the services that a Consul agent knows, go-micro's too |
//! | `registry-dns` | no | `--registry dns`: SRV records, or addresses with a known port |
//! | `registry-embedded` | yes, by `embedded` | `--registry embedded`: the services of this machine |
//! | `registry-gossip` | no | `--registry gossip`: the processes tell each other, no server; one seed is enough |
//! | `registry-mdns` | yes, by `mdns` | `--registry mdns`: the services of the local network, go-micro's too |
//! | `registry-static` | no | `--registry static`: a list in the address or in a file |
//! | `full` | no | every plugin |
//!
//! Without any there is `memory`, for one process.
//!
//! # Which node a call goes to
//!
//! [`selector`] has the strategies: [`P2c`](selector::P2c) with [`Ejecting`](selector::Ejecting) round it by default;
//! [`Random`](selector::Random), [`RoundRobin`](selector::RoundRobin), [`Weighted`](selector::Weighted),
//! [`ConsistentHash`](selector::ConsistentHash), [`Sticky`](selector::Sticky) and [`from_fn`](selector::from_fn) for others;
//! [`ZoneAware`](selector::ZoneAware) and [`Subset`](selector::Subset) round them. `--selector` chooses by name, and
//! `.key(…)` on a call says what it is about.

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

/// The client of docs/resilience.md, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/resilience.md")]
struct ResiliencePage;

/// The strategy of one's own in docs/selection.md, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/selection.md")]
struct SelectionPage;

/// The example of the README, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The page on middleware, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/middleware.md")]
struct MiddlewarePage;
