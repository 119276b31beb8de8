//! Publishes an event to each of two topics every second: `cargo run --bin kafka-publisher`, or faster with
//! `-- --interval 100`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka::{named, pubsub};
use micro::prelude::*;
use tracing::{error, info};

async fn send(topic: &str, publisher: Event<pubsub::Event>, interval: Duration) {
    let mut tick = tokio::time::interval(interval);
    loop {
        tick.tick().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let event = pubsub::Event {
            id: now.to_string(),
            timestamp: now.cast_signed(),
            message: format!("Messaging you all day on {topic}"),
        };
        info!("publishing {event:?}");
        if let Err(error) = publisher.publish(&event).await {
            error!("error publishing: {error}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let interval = Flag::new("interval", "Milliseconds between two events of a topic").default("1000");
    let mut service = kafka::service("go.micro.cli.pubsub").flag(interval).build()?;
    let interval = Duration::from_millis(service.flag_as("interval")?.unwrap_or(1000));
    for topic in ["example.topic.pubsub.1", "example.topic.pubsub.2"] {
        let publisher = service.event(named(&service, topic));
        service.after_start(move || async move {
            tokio::spawn(send(topic, publisher, interval));
            Ok(())
        });
    }
    service.run().await
}
