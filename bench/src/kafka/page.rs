//! The page of the row.

use super::Kind;
use crate::Result;
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::Cell;

/// The promise: at least so much of the peer's rate.
const GOAL: Goal = Goal::AtLeast(0.9);

pub(super) fn write(cells: &[Cell]) -> Result<Verdict> {
    let mut page = Page::new(
        "kafka",
        "Kafka: typed events beside the bare client",
        "Events of 100 B of protobuf with the headers Content-Type and Micro-Id, on one real server on the same machine;\n\
         4 partitions, acks=all, idempotent, linger 5 ms, read_committed. `rdkafka` is its ThreadedProducer with a delivery\n\
         callback and its BaseConsumer, each polled message decoded: the same encoding, headers, ids and settings, one\n\
         commit every 50 ms, and 50,000 messages a partition read ahead where ours are 12,500 (each has what is best for\n\
         it). Ours, which commit at the latest 20 ms after an answer, on a default tokio runtime: `publish_all` of 1,000 in 64 tasks, and a `subscriber` of\n\
         a queue that settles each event. The plugin alone takes messages that are encoded once, and decodes none. A reader\n\
         counts from its first message to its last, in a group of its own. CPU is that of the client process; the server\n\
         is on the same cores, so that rates move with both.",
        &["rdkafka", "rdkafka-sys", "prost", "tokio"],
    );
    let mut rows = Vec::new();
    for (bare, name, ours) in [
        (
            Kind::BarePublish,
            "publish: rdkafka",
            &[
                (Kind::Publish, "publish: micro-rs, typed", true),
                (Kind::RawPublish(100), "publish: the plugin, 100 a call", false),
                (Kind::RawPublish(1), "publish: the plugin, 1 a call", false),
            ],
        ),
        (
            Kind::BareConsume,
            "consume: rdkafka",
            &[
                (Kind::Consume, "consume: micro-rs, typed", true),
                (Kind::ConsumeBatches, "consume: micro-rs, typed batches", false),
                (Kind::RawConsume, "consume: the plugin, 256 a pull", false),
            ],
        ),
    ] {
        let bare = cell(cells, bare);
        rows.push(row(name, &bare, &bare, "1".to_owned()));
        for (kind, name, promised) in ours {
            let ours = cell(cells, *kind);
            let ratio = ours.rate / bare.rate;
            let foreign = ours.foreign.max(bare.foreign);
            let goal = if *promised { page.judge(ratio, GOAL, foreign) } else { format!("{ratio:.2}") };
            rows.push(row(name, &ours, &bare, goal));
        }
    }
    page.table(
        &[
            "what",
            "messages/s",
            "CPU µs a message",
            "CPU, × rdkafka",
            "the server's CPU µs",
            "messages/s, × rdkafka",
            "spread",
            "others' share",
        ],
        &rows,
    );
    page.say("One event at a time, each waited for until the server has it:");
    let singles = [
        (Kind::BareOne, "rdkafka, ThreadedProducer"),
        (Kind::FutureOne, "rdkafka, FutureProducer"),
        (Kind::One, "micro-rs, `publish`"),
    ];
    let bare = cell(cells, Kind::BareOne);
    let lines = singles.map(|(kind, name)| {
        let cell = cell(cells, kind);
        let ratio = format!("{:.2}", cell.p50 / bare.p50);
        let cpu = format!("{:.0}", cell.cpu[0]);
        let (p50, p99) = (format!("{:.0}", cell.p50), format!("{:.0}", cell.p99));
        vec![name.to_owned(), p50, p99, ratio, cpu, percent(cell.foreign)]
    });
    page.table(&["what", "p50 µs", "p99 µs", "p50, × rdkafka", "CPU µs a message", "others' share"], &lines);
    page.finish()
}

fn cell(cells: &[Cell], kind: Kind) -> Cell {
    Kind::ALL.iter().position(|known| *known == kind).map_or_else(Cell::default, |at| cells[at].clone())
}

fn row(what: &str, cell: &Cell, bare: &Cell, ratio: String) -> Vec<String> {
    vec![
        what.to_owned(),
        short(cell.rate),
        format!("{:.2}", cell.cpu[0]),
        format!("{:.2}", cell.cpu[0] / bare.cpu[0]),
        format!("{:.2}", cell.cpu[1]),
        ratio,
        percent(cell.spread),
        percent(cell.foreign),
    ]
}
