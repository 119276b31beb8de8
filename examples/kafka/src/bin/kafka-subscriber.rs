//! Receives the events of two topics, by the methods of a struct and by a function: `cargo run --bin kafka-subscriber`.

use kafka::named;
use kafka::pubsub::Event;
use micro::Context;
use micro::prelude::{Result, struct_subscriber, subscriber};
use tracing::info;

struct Sub;

/// Every method of this shape receives each event of the topic.
#[micro::subscriber]
impl Sub {
    async fn process(&self, ctx: Context, event: Event) -> Result<()> {
        info!("[pubsub.1] Received event {event:?} with metadata {:?}", ctx.metadata());
        // do something with event
        Ok(())
    }
}

/// A function does as well.
async fn handle(ctx: Context, event: Event) -> Result<()> {
    info!("[pubsub.2] Received event {event:?} with metadata {:?}", ctx.metadata());
    // do something with event
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut service = kafka::service("go.micro.srv.pubsub").build()?;
    let (first, second) = (named(&service, "example.topic.pubsub.1"), named(&service, "example.topic.pubsub.2"));
    service.subscribe(struct_subscriber(first, Sub));
    service.subscribe(subscriber(second, handle));
    service.run().await
}
