//! A program that knows the second version of `OrderCreated`, while others still publish the first.
//!
//! `kafka-orders-v2 listen` prints the orders, and those that the first version has handed on.
//! `kafka-orders-v2 publish ID [json]` publishes one.

use kafka::named;
use kafka::v2::{Channel, OrderCreated};
use micro::broker::Start;
use micro::codec::Format;
use micro::prelude::*;
use tracing::info;

/// One customer's orders stay in order.
const CUSTOMER: &str = "customer 7";

#[tokio::main]
async fn main() -> Result<()> {
    let mut service = kafka::service("orders-v2").build()?;
    let created = named(&service, "orders.created");
    match service.args() {
        [word] if word == "listen" => {}
        [word, id, rest @ ..] if word == "publish" && rest.len() < 2 => {
            let format = if rest.is_empty() { Format::Protobuf } else { Format::Json };
            let order = OrderCreated {
                id: id.clone(),
                item: "cup".to_owned(),
                quantity: 6,
                price_cents: Some(2940),
                channel: Channel::Web.into(),
            };
            service.connect().await?;
            service.event(created).publish(&order).content_type(format).key(CUSTOMER).await?;
            return service.broker().disconnect().await;
        }
        _ => return Err(Error::new(Kind::InvalidArgument, "usage: kafka-orders-v2 listen | publish ID [json]")),
    }
    service.subscribe(
        subscriber(created, |_: Context, order: OrderCreated| async move {
            info!("[v2] order {}", describe(&order));
            Ok(())
        })
        .start(Start::Earliest),
    );
    service.subscribe(
        subscriber(named(&service, "orders.forwarded"), |ctx: Context, order: OrderCreated| async move {
            let way = ctx.metadata().get_str("Way").unwrap_or("in an unknown way");
            info!("[v2] handed on by v1, {way}: order {}", describe(&order));
            Ok(())
        })
        .start(Start::Earliest),
    );
    service.run().await
}

/// A field that is not there has a meaning, too.
fn describe(order: &OrderCreated) -> String {
    let price = match order.price_cents {
        Some(cents) => format!("{cents} cents"),
        None => "price not said".to_owned(),
    };
    let channel = match order.channel() {
        Channel::Unspecified => "channel not said",
        Channel::Web => "by web",
        Channel::Telephone => "by telephone",
    };
    format!("{}: {} × {}, {price}, {channel}", order.id, order.quantity, order.item)
}
