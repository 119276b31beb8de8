//! Hears topic1 as everybody does, and shares topic2 with the other members of its queue. Start it twice:
//! `cargo run -p pubsub --bin pubsub-subscriber`.

use std::time::Duration;

use micro::broker::Message;
use micro::prelude::*;
use tracing::info;

/// On Kafka it takes this long until the share of a killed member is given to another; it is the least there.
const LEASE: Duration = Duration::from_secs(6);

async fn handle(_ctx: Context, message: Message) -> Result<()> {
    let id = message.headers.get_str("id").unwrap_or("none");
    info!("[sub] recieve message: {}, header: map[id:{id}]", String::from_utf8_lossy(&message.body));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let run = Flag::new("run", "Added to the names of topics and queues, so that runs on one server do not meet");
    let mut service = Service::builder("hellosubscriber").flag(run).build()?;
    let run = service.flag("run").map(|run| format!(".{run}")).unwrap_or_default();
    let (topic1, topic2) = (format!("topic1{run}"), format!("topic2{run}"));
    // Publish and subscribe: each message to every subscriber.
    service.subscribe(raw_subscriber(topic1, handle));
    // Point to point: each message to one member of the queue.
    service.subscribe(raw_subscriber(&topic2, handle).queue(&topic2).lease(LEASE));
    service.run().await
}
