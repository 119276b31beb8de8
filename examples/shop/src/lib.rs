//! The services of the shop. The order service takes orders by call and publishes `OrderCreated`; the warehouse hears of
//! it, ships, and publishes `OrderShipped`; the order service answers how far an order is.
//!
//! Each is made by a function that takes a builder: `main` gives it one that reads flags, a test one of its kit.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

mod book;
pub mod names;
pub mod order;
pub mod warehouse;

/// The messages, the handler trait and the client of proto/shop.proto.
#[allow(missing_docs, reason = "the .proto says it")]
pub mod proto {
    micro::include_proto!("shop");
}

/// The name by which the order service is called.
pub const ORDER_SERVICE: &str = "shop.order";
/// The name of the warehouse.
pub const WAREHOUSE: &str = "shop.warehouse";
/// Where an order is published that was taken.
pub const ORDER_CREATED: &str = "orders.created";
/// Where it is published that an order was shipped.
pub const ORDER_SHIPPED: &str = "orders.shipped";
