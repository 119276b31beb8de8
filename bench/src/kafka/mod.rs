//! Row `kafka`: typed events over a real Kafka, beside bare rdkafka with the same messages and settings.

mod bare;
mod broker;
mod events;
mod order;
mod page;
mod settings;

use micro_faults::kafka::{Kafka, Setup};

use crate::child::Child;
use crate::meter::Meter;
use crate::page::Verdict;
use crate::rounds::{Sample, alternate, is_quick, percentiles};
use crate::{Result, driver};

/// Partitions of every topic.
const PARTITIONS: u32 = 4;
/// The topic that every reader reads, from its beginning and in a group of its own.
const BACKLOG: &str = "bench.backlog";

/// How many messages a round has.
fn messages() -> usize {
    if is_quick() { 100_000 } else { 600_000 }
}

/// How often a round waits for a single message.
const SINGLES: usize = 300;

/// What is measured in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `ThreadedProducer` with a delivery callback.
    BarePublish,
    /// `Event::publish_all`.
    Publish,
    /// The plugin below the events: so many messages a call.
    RawPublish(usize),
    /// `BaseConsumer`, polled.
    BareConsume,
    /// `subscriber` of a queue: a handler call for each event.
    Consume,
    /// `batch_subscriber` of a queue.
    ConsumeBatches,
    /// The plugin below the events: pulled and settled in batches, not decoded.
    RawConsume,
    /// One message at a time, each waited for: `ThreadedProducer`.
    BareOne,
    /// The same with `FutureProducer`.
    FutureOne,
    /// The same with `Event::publish`.
    One,
}

impl Kind {
    const ALL: &[Self] = &[
        Self::BarePublish,
        Self::Publish,
        Self::RawPublish(100),
        Self::RawPublish(1),
        Self::BareConsume,
        Self::Consume,
        Self::ConsumeBatches,
        Self::RawConsume,
        Self::BareOne,
        Self::FutureOne,
        Self::One,
    ];

    /// Its word on the command line of the measured process.
    fn word(self) -> String {
        match self {
            Self::BarePublish => "bare-publish".to_owned(),
            Self::Publish => "publish".to_owned(),
            Self::RawPublish(batch) => format!("raw-publish-{batch}"),
            Self::BareConsume => "bare-consume".to_owned(),
            Self::Consume => "consume".to_owned(),
            Self::ConsumeBatches => "consume-batches".to_owned(),
            Self::RawConsume => "raw-consume".to_owned(),
            Self::BareOne => "bare-one".to_owned(),
            Self::FutureOne => "future-one".to_owned(),
            Self::One => "one".to_owned(),
        }
    }
}

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let server = Kafka::start(&Setup::new()).map_err(|e| e.to_string())?;
    let (servers, pid) = (server.bootstrap(), server.process_id(1).ok_or("the server has ended")?.to_string());
    events::fill(&servers, messages())?;
    let mut round = 0_u32;
    let cells = alternate(&mut Kind::ALL.to_vec(), |kind| {
        round += 1;
        let arguments = [&kind.word(), &servers, &pid, &round.to_string(), &messages().to_string()];
        driver::parse(&Child::start("kafka-client", &arguments.map(String::as_str))?.line()?)
    })?;
    page::write(&cells)
}

/// What a measured process is told.
#[derive(Debug)]
struct Task {
    servers: String,
    /// The server's process.
    pid: u32,
    /// Makes topics and groups of the round its own.
    round: String,
    messages: usize,
}

impl Task {
    /// Begins to measure this process and the server.
    fn meter(&self) -> Meter {
        Meter::start(&[std::process::id(), self.pid])
    }

    /// A topic of this round.
    fn topic(&self, what: &str) -> String {
        format!("bench.{what}.{}", self.round)
    }
}

/// The measured process: prints its sample.
pub(crate) fn client_role(arguments: &[String]) -> Result<()> {
    let [what, servers, pid, round, messages] = arguments else { return Err("five arguments".to_owned()) };
    let number = |text: &String| text.parse::<u32>().map_err(|e| format!("{text}: {e}"));
    let task = Task {
        servers: servers.clone(),
        pid: number(pid)?,
        round: round.clone(),
        messages: number(messages)? as usize,
    };
    let kind = Kind::ALL.iter().find(|kind| kind.word() == *what).ok_or_else(|| format!("what is {what}?"))?;
    let sample = match *kind {
        Kind::BarePublish => bare::publish(&task),
        Kind::Publish => events::publish(&task),
        Kind::RawPublish(batch) => broker::publish(&task, batch),
        Kind::BareConsume => bare::consume(&task),
        Kind::Consume => events::consume(&task),
        Kind::ConsumeBatches => events::consume_batches(&task),
        Kind::RawConsume => broker::consume(&task),
        Kind::BareOne => bare::one(&task),
        Kind::FutureOne => bare::future_one(&task),
        Kind::One => events::one(&task),
    };
    driver::print(&sample?);
    Ok(())
}

/// A sample of so many messages since the meter's start.
fn sample(meter: &Meter, operations: usize) -> Sample {
    let reading = meter.read();
    Sample {
        operations: operations as u64,
        seconds: reading.seconds,
        cpu: [reading.cpu[0], reading.cpu[1]],
        foreign: reading.foreign,
        ..Sample::default()
    }
}

/// A sample of single messages: how long each took, in nanoseconds.
fn singles(meter: &Meter, mut latencies: Vec<u32>) -> Sample {
    let mut sample = sample(meter, latencies.len());
    (sample.p50, sample.p99) = percentiles(&mut latencies);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_of_one_kind() {
        let words: std::collections::HashSet<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
