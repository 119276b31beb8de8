//! Publishes the table.

use std::time::Instant;

use micro::prelude::*;

use crate::DEPARTED;
use crate::names::{self, named};
use crate::proto::Flight;

/// How many flights are on their way at once.
const BATCH: usize = 10_000;

/// Publishes every flight, in order. Returns when the last one is on disk.
pub(crate) async fn run() -> Result<()> {
    let service = Service::builder("flights.publisher").flag(names::flag()).build()?;
    service.connect().await?;
    let flights = crate::table::read()?;
    let departed = service.event::<Flight>(named(&service, DEPARTED));
    let begin = Instant::now();
    for batch in flights.chunks(BATCH) {
        let receipts = departed.publish_all(batch).key(|flight| flight.tail_number.clone().map(Into::into)).await;
        receipts.into_iter().collect::<Result<Vec<_>>>()?;
    }
    println!("published {} flights in {:.1} s", flights.len(), begin.elapsed().as_secs_f64());
    service.broker().disconnect().await
}
