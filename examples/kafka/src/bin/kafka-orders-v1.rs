//! A program that knows the first version of `OrderCreated`, and goes on running when others publish the second.
//!
//! `kafka-orders-v1 listen` prints the orders, and hands each on to `orders.forwarded` in two ways: decoded and encoded
//! again, and untouched. `kafka-orders-v1 publish ID` publishes one.

use bytes::BytesMut;
use kafka::named;
use kafka::v1::OrderCreated;
use micro::broker::{Message, Start, Topic};
use micro::codec::Format;
use micro::prelude::*;
use tracing::info;

/// One customer's orders stay in order.
const CUSTOMER: &str = "customer 7";

#[tokio::main]
async fn main() -> Result<()> {
    let mut service = kafka::service("orders-v1").build()?;
    let created = named(&service, "orders.created");
    match service.args() {
        [word] if word == "listen" => {}
        [word, id] if word == "publish" => {
            let order = OrderCreated { id: id.clone(), item: "teapot".to_owned(), quantity: 2 };
            service.connect().await?;
            service.event(created).publish(&order).key(CUSTOMER).await?;
            return service.broker().disconnect().await;
        }
        _ => return Err(Error::new(Kind::InvalidArgument, "usage: kafka-orders-v1 listen | publish ID")),
    }
    service.subscribe(subscriber(&created, hear).start(Start::Earliest));
    let forward = Forward {
        decoded: service.event(named(&service, "orders.forwarded")),
        untouched: service.broker(),
        topic: Topic::new(named(&service, "orders.forwarded"))?,
    };
    let forward = std::sync::Arc::new(forward);
    service.subscribe(
        raw_subscriber(created, move |_: Context, message: Message| std::sync::Arc::clone(&forward).run(message))
            .queue(named(&service, "forward")),
    );
    service.run().await
}

/// An order of either version: what the first knows is read, what it does not know is passed over.
async fn hear(_: Context, order: OrderCreated) -> Result<()> {
    info!("[v1] order {}: {} × {}", order.id, order.quantity, order.item);
    Ok(())
}

/// The way on. A value that was decoded holds only what this version knows: whoever passes messages on without need to
/// change them passes them on raw.
struct Forward {
    decoded: Event<OrderCreated>,
    untouched: std::sync::Arc<dyn micro::broker::Broker>,
    topic: Topic,
}

impl Forward {
    async fn run(self: std::sync::Arc<Self>, message: Message) -> Result<()> {
        let content_type = message.headers.get_str("Content-Type").unwrap_or_default();
        let format = Format::of_content_type(content_type).unwrap_or(Format::Protobuf);
        let order = OrderCreated::decode(format, message.body.clone())?;
        let mut known = BytesMut::new();
        order.encode(format, &mut known)?;
        info!(
            "[v1] order {} has {} bytes, {} of them of fields that are not known here",
            order.id,
            message.body.len(),
            message.body.len().saturating_sub(known.len())
        );
        self.decoded.publish(&order).header("Way", "decoded and encoded").key(CUSTOMER).await?;
        self.untouched.publish(&self.topic, vec![message.header("Way", "untouched")]).first().await?;
        Ok(())
    }
}
