//! Tests of a service: the code of production, in the test's own process, on memory plugins.
//!
//! ```
//! use micro::prelude::*;
//! use micro_testkit::TestKit;
//!
//! # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Payload)]
//! # struct Order { id: String }
//! // What main runs, too: warehouse(Service::builder("warehouse"))?.run().await
//! fn warehouse(builder: micro::ServiceBuilder) -> micro::Result<Service> {
//!     let mut service = builder.build()?;
//!     let shipped = service.event::<Order>("orders.shipped");
//!     let ship = move |_: Context, order: Order| {
//!         let shipped = shipped.clone();
//!         async move { shipped.publish(&order).key(order.id.clone()).await.map(drop) }
//!     };
//!     service.subscribe(subscriber("orders.created", ship).queue("warehouse"));
//!     Ok(service)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> micro::Result<()> {
//! let kit = TestKit::new();
//! kit.start(warehouse(kit.builder("warehouse"))?).await?;
//!
//! let order = Order { id: "7".into() };
//! kit.publish("orders.created", &order).key("7").await?;
//!
//! assert_eq!(kit.published::<Order>("orders.shipped").expect(1).await?, [order]);
//! kit.delivery("orders.created").acknowledged().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | to | see |
//! |---|---|
//! | run a service | [`TestKit::builder`], [`TestKit::start`] |
//! | call it, publish to it | [`TestKit::call`], [`TestKit::client`], [`TestKit::publish`] |
//! | see what was published | [`TestKit::published`] |
//! | see what became of a delivery | [`TestKit::delivery`] |
//! | wait until nothing is left to do | [`TestKit::idle`] |
//! | move the clock | [`TestKit::advance`] |
//! | let things go wrong | [`TestKit::fail_next`], [`Started::crash`] |
//!
//! Nothing is shared between two kits, so that tests run side by side. What is waited for has a limit of real time, five
//! seconds unless [`TestKit::limit`] or `within` says otherwise, and the error then tells what happened instead.

mod broker;
mod clock;
mod delivery;
mod journal;
mod kit;
mod publish;
mod published;
mod started;
mod subscription;
mod telling;
mod transaction;
mod wait;

pub use delivery::{DeliveryQuery, Outcome, Story};
pub use kit::TestKit;
pub use micro_faults::{Authority, Signed, Validity};
pub use publish::KitPublish;
pub use published::Published;
pub use started::Started;

/// The page of the documentation, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
struct Page;

/// The page on certificates, kept compiling: it uses those of tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tls.md")]
struct TlsPage;
