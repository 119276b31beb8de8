use std::time::{SystemTime, UNIX_EPOCH};

use micro_core::broker::{Position, Start, Topic};
use micro_core::{Error, Kind, Result};
use micro_engine::Database;
use rusqlite::{Connection, OptionalExtension};

use super::topic::Topics;
use crate::config::Settings;
use crate::place;

/// Where a start is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) topic: i64,
    pub(crate) partitions: u32,
    /// Partitions and offsets: all of them, or the one that was named.
    pub(crate) offsets: Vec<(u32, u64)>,
}

/// Finds the offsets that a start means.
pub(crate) fn find(
    storage: &Database,
    topics: &mut Topics,
    topic: &Topic,
    settings: &Settings,
    start: Start,
) -> Result<Found> {
    let known = topics.get(storage, topic, settings)?;
    let (id, partitions) = (known.id, known.partitions);
    let failed = |error| storage.failure("find a start", error);
    let mut offsets = Vec::with_capacity(partitions as usize);
    match start {
        Start::At(position) => {
            let end_of = |partition| known.end(storage, partition).map(|end| end.next);
            offsets.push(at(storage, end_of, (id, partitions), topic, position)?);
        }
        _ => {
            for partition in 0..partitions {
                let end = known.end(storage, partition)?.next;
                let offset = match start {
                    Start::Latest => end,
                    Start::Time(time) => at_time(storage.connection(), id, partition, end, time).map_err(failed)?,
                    _ => floor(storage.connection(), id, partition).map_err(failed)?.unwrap_or(end),
                };
                offsets.push((partition, offset));
            }
        }
    }
    Ok(Found { topic: id, partitions, offsets })
}

fn at(
    storage: &Database,
    mut end_of: impl FnMut(u32) -> Result<u64>,
    (topic, partitions): (i64, u32),
    name: &Topic,
    position: Position,
) -> Result<(u32, u64)> {
    let nowhere = |kept: String| {
        let text = format!("there is no message at the position {position} of the topic {name}; {kept}");
        Err(Error::new(Kind::NotFound, text))
    };
    let Position::Offset { partition, offset } = position else {
        return nowhere("the positions of the embedded broker are partition/offset".to_owned());
    };
    if partition >= partitions {
        return nowhere(format!("it has the partitions 0 to {}", partitions - 1));
    }
    let end = end_of(partition)?;
    let first = floor(storage.connection(), topic, partition)
        .map_err(|error| storage.failure("find a position", error))?
        .unwrap_or(end);
    if !(first..=end).contains(&offset) {
        return nowhere(format!("partition {partition} keeps the offsets {first} to {end}"));
    }
    Ok((partition, offset))
}

/// Returns the oldest offset that is kept.
pub(crate) fn floor(connection: &Connection, topic: i64, partition: u32) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT place FROM message WHERE place BETWEEN ? AND ? ORDER BY place LIMIT 1";
    let range = [place::first(topic, partition), place::last(topic, partition)];
    connection.prepare_cached(sql)?.query_row(range, |row| row.get(0).map(place::offset)).optional()
}

/// Returns the first offset whose message was published at this time or later: times never go back within a partition.
fn at_time(connection: &Connection, topic: i64, partition: u32, end: u64, time: SystemTime) -> rusqlite::Result<u64> {
    let time = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
    let mut low = floor(connection, topic, partition)?.unwrap_or(end);
    let mut high = end;
    let mut select = connection.prepare_cached("SELECT time FROM message WHERE place = ?")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let its: u64 = select.query_row([place::place(topic, partition, middle)], |row| row.get(0))?;
        if its < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
