//! The warehouse as its blog post has it, by the broker alone: it prints each message with its offset.
//!
//! `cargo run --bin kafka-warehouse -- --broker_address 127.0.0.1:9092`, or with `--from 0` to look at the orders
//! again, from an offset on.

use std::time::Duration;

use kafka::named;
use micro::broker::{Position, Queue, Start, SubscribeOptions, Topic};
use micro::prelude::*;
use tracing::info;

/// On Kafka it takes this long until what a killed warehouse had is given to another; it is the least there.
const LEASE: Duration = Duration::from_secs(6);

#[tokio::main]
async fn main() -> Result<()> {
    let work = Flag::new("work", "Milliseconds that one delivery takes").default("1000");
    let from = Flag::new("from", "Reads partition 0 again from this offset on, whatever the warehouses have done");
    let service = kafka::service("warehouse").flag(work).flag(from).build()?;
    let work = Duration::from_millis(service.flag_as("work")?.unwrap_or(1000));
    service.connect().await?;
    let broker = service.broker();
    let topic = Topic::new(named(&service, "orders"))?;
    let options = match service.flag_as("from")? {
        // Without a queue: nobody shares, and nothing is noted of how far it is.
        Some(offset) => SubscribeOptions::new().start(Start::At(Position::Offset { partition: 0, offset })),
        None => SubscribeOptions::new().queue(Queue::new(named(&service, "warehouse"))?).lease(LEASE),
    };
    let mut orders = broker.subscribe(&topic, options).await?;
    info!("waiting for orders");
    loop {
        let next = tokio::select! {
            next = orders.next(1) => next?,
            _ = tokio::signal::ctrl_c() => break,
        };
        // The subscription has ended.
        let Some(deliveries) = next else { break };
        for delivery in deliveries {
            let offset = match delivery.position() {
                Some(Position::Offset { offset, .. }) => offset.to_string(),
                other => format!("{other:?}"),
            };
            info!("receive message: {} {offset}", String::from_utf8_lossy(delivery.body()));
            tokio::time::sleep(work).await;
            // Only now. Killed before it, the order comes again, to whichever warehouse is there.
            delivery.ack().await?;
        }
    }
    broker.disconnect().await
}
