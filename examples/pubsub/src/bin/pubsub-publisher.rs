//! Publishes to topic1 and topic2 each second: `cargo run -p pubsub --bin pubsub-publisher`, or faster with
//! `-- --every 200`.

use std::sync::Arc;
use std::time::Duration;

use micro::broker::{Broker, Message, Topic};
use micro::prelude::*;
use tracing::{error, info};

async fn publish(broker: Arc<dyn Broker>, name: &str, topic: Topic, every: Duration) {
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        let id = uuid::Uuid::new_v4().to_string();
        let body = format!("Messaging you all day on {name}");
        let message = Message::new(body.clone()).header("id", id.clone());
        // The receipt is there when the message is on disk.
        match broker.publish(&topic, vec![message]).first().await {
            Ok(_) => info!("Broker Publish topic:{name} msg: map[id:{id}] {body}"),
            Err(error) => error!("Broker Publish error: {error}"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let every = Flag::new("every", "Milliseconds between two messages").default("1000");
    let run = Flag::new("run", "Added to the names of topics, so that runs on one server do not meet");
    let mut service = Service::builder("hellopublisher").flag(every).flag(run).build()?;
    let every = Duration::from_millis(service.flag_as("every")?.unwrap_or(1000));
    for name in ["topic1", "topic2"] {
        let topic = service.flag("run").map_or_else(|| name.to_owned(), |run| format!("{name}.{run}"));
        let (broker, topic) = (service.broker(), Topic::new(topic)?);
        service.after_start(move || async move {
            tokio::spawn(publish(broker, name, topic, every));
            Ok(())
        });
    }
    service.run().await
}
