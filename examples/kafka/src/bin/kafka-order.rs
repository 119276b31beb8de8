//! The order service as its blog post has it, by the broker alone: it tells the warehouse to deliver.
//!
//! `cargo run --bin kafka-order -- --broker_address 127.0.0.1:9092`

use kafka::named;
use micro::broker::{Message, Topic};
use micro::prelude::*;
use tracing::info;

const ORDER: &str = "new order created, please deliver goods";

#[tokio::main]
async fn main() -> Result<()> {
    let service = kafka::service("order").build()?;
    service.connect().await?;
    let broker = service.broker();
    let topic = Topic::new(named(&service, "orders"))?;
    // Always the same partition, so that the offsets count the orders. A key says "in this order" and not where.
    let message = Message::new(ORDER).partition(0);
    // It is there when all copies that are in sync have it.
    broker.publish(&topic, vec![message]).first().await?;
    info!("sent message: {ORDER}");
    broker.disconnect().await
}
