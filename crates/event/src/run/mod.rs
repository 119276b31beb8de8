//! A subscription at work: the pump pulls deliveries into lanes, workers take them from there.
//!
//! ```text
//! broker → Subscription → pump → lanes → workers → handler → answers → Settler → broker
//!                           └ waiting jobs ┘
//! ```

mod answers;
mod batches;
mod behind;
mod conclude;
mod job;
mod lanes;
mod measure;
mod member;
mod pump;
mod screen;
mod state;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Queue, SubscribeOptions, Topic};
use micro_core::{Error, Kind, Result};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub(crate) use self::job::Job;
use self::measure::Measure;
use self::member::{Member, Shared};
use self::pump::Pump;
use crate::Events;
use crate::subscribe::{Subscribed, Subscriber, Work};

/// How long subscribing may take.
const SUBSCRIBE: Duration = Duration::from_secs(30);

/// Sets a subscriber to work.
pub(crate) async fn subscribe(events: &Events, subscriber: Subscriber) -> Result<Subscribed> {
    let topic = subscriber.topic.clone();
    start(events, subscriber).await.map_err(|error| match error.context("topic") {
        Some(_) => error.operation("event.subscribe"),
        None => error.operation("event.subscribe").with("topic", topic),
    })
}

async fn start(events: &Events, subscriber: Subscriber) -> Result<Subscribed> {
    let Subscriber { topic, work, settings, .. } = subscriber;
    let broker = Arc::clone(events.broker());
    let topic = Topic::new(topic)?;
    let queue = settings.queue.as_deref().map(Queue::new).transpose()?;
    let name = settings.name.as_deref().map(Queue::new).transpose()?;
    let capability = broker.capability();
    if queue.is_some() && !capability.queues {
        return Err(Error::unsupported(broker.name(), "queues; subscribe without one, or choose another broker"));
    }
    if settings.ordered && !capability.keys {
        return Err(Error::unsupported(
            broker.name(),
            "order within a key across members; leave out ordered(), or choose a broker that declares keys",
        ));
    }

    let mut options = SubscribeOptions::new().in_flight(settings.in_flight);
    options.queue.clone_from(&queue);
    options.start = settings.start;
    options.ordered = settings.ordered;
    options.lease = settings.lease.unwrap_or(options.lease);
    let subscription =
        timeout(SUBSCRIBE, broker.subscribe(&topic, options.clone())).await.unwrap_or_else(|_| Err(late(&broker)))?;

    let work = match events.0.layers.build() {
        Some(next) => work.layered(&next, &events.0.service, topic.as_str()),
        None => work,
    };
    let identity = queue.as_ref().or(name.as_ref()).map(|name| name.as_str().to_owned());
    let member = Arc::new(Member {
        measure: Measure::new(topic.as_str(), identity.as_deref().unwrap_or_default()),
        service: Arc::clone(&events.0.service),
        endpoint: Arc::from(topic.as_str()),
        observers: events.0.observers.clone(),
        topic: topic.clone(),
        broker,
        capability,
        identity,
        settings,
        shared: Shared::new(matches!(work, Work::Single(_))),
        work,
    });
    let (stop, stopped) = watch::channel(None);
    let (command, commands) = mpsc::channel(4);
    let pump = Pump { member, subscription, options, stop: stopped, commands, settler: None, resident: None };
    Ok(Subscribed::new(topic, queue, stop, command, tokio::spawn(pump.run())))
}

fn late(broker: &Arc<dyn Broker>) -> Error {
    Error::new(
        Kind::Timeout,
        format!(
            "the {} broker at {} did not set up the subscription within {SUBSCRIBE:?}; look whether the server is up",
            broker.name(),
            broker.address()
        ),
    )
}
