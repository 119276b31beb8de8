//! Hears topic1 as everybody does, and shares topic2 with the other members of its queue. Start it twice:
//! `cargo run --bin pubsub-subscriber`.

use micro::broker::Message;
use micro::prelude::*;
use tracing::info;

async fn handle(_ctx: Context, message: Message) -> Result<()> {
    let id = message.headers.get_str("id").unwrap_or("none");
    info!("[sub] recieve message: {}, header: map[id:{id}]", String::from_utf8_lossy(&message.body));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut service = Service::new("hellosubscriber")?;
    // Publish and subscribe: each message to every subscriber.
    service.subscribe(raw_subscriber("topic1", handle));
    // Point to point: each message to one member of the queue.
    service.subscribe(raw_subscriber("topic2", handle).queue("topic2"));
    service.run().await
}
