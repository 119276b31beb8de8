//! One consumer of the queue.

use std::sync::Arc;
use std::time::Duration;

use micro::prelude::*;

use crate::names::{self, named};
use crate::proto::{Flight, Leg};
use crate::{DEPARTED, RESULTS};

/// How many flights one consumer works on at once.
const CONCURRENCY: usize = 256;

/// On Kafka it takes this long until what a killed consumer had is given to another; it is the least there.
const LEASE: Duration = Duration::from_secs(6);

/// Runs it until a signal.
pub(crate) async fn run() -> Result<()> {
    let mut service = Service::builder("flights.consumer").flag(names::flag()).build()?;
    let name: Arc<str> = service.args().get(1).map_or("consumer", String::as_str).into();
    let results = service.event::<Leg>(named(&service, RESULTS));
    service.subscribe(
        subscriber(named(&service, DEPARTED), move |context: Context, flight: Flight| {
            handle(results.clone(), Arc::clone(&name), context, flight)
        })
        .queue(named(&service, "delays"))
        .lease(LEASE)
        // Flights of one tail number one after the other, also when they move to another consumer.
        .ordered()
        .concurrency(CONCURRENCY),
    );
    service.run().await
}

/// The result is on disk before the flight is settled. Killed between the two, the flight comes again and has two
/// results; of one event id, so that the ledger counts one.
async fn handle(results: Event<Leg>, consumer: Arc<str>, context: Context, flight: Flight) -> Result<()> {
    let event = context.event().ok_or_else(|| Error::new(Kind::Internal, "a flight that is no event"))?;
    let leg = Leg {
        event_id: event.id.to_vec(),
        carrier: flight.carrier,
        distance: flight.distance,
        delay: flight.arrival_delay,
        row: flight.row,
        time_hour: flight.time_hour,
        tail_number: flight.tail_number.clone(),
        consumer: consumer.to_string(),
    };
    let mut publish = results.publish(&leg);
    if let Some(tail_number) = flight.tail_number {
        publish = publish.key(tail_number);
    }
    publish.await?;
    Ok(())
}
