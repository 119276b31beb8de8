//! Messages go when they are too old, or when their topic is too big: whatever their queues have done by then.

use std::time::{SystemTime, UNIX_EPOCH};

use micro_core::Result;
use micro_engine::Database;
use rusqlite::{OptionalExtension, params};

use super::start::floor;
use super::topic::end;
use crate::config::Settings;
use crate::place;

/// Removes what is beyond the limits, at most `budget` messages, so that publishers are not kept waiting. Tells whether
/// there is more to remove.
pub(crate) fn retain(storage: &Database, topic: Option<i64>, settings: &Settings, budget: u64) -> Result<bool> {
    step(storage, topic, settings, budget).map_err(|error| storage.failure("remove old messages", error))
}

fn step(storage: &Database, only: Option<i64>, settings: &Settings, mut budget: u64) -> rusqlite::Result<bool> {
    let connection = storage.connection();
    let topics: Vec<(i64, u32)> = connection
        .prepare_cached("SELECT id, partitions FROM topic")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
    let oldest = now.saturating_sub(settings.retain_age.as_micros() as u64);
    for (topic, partitions) in topics.into_iter().filter(|(topic, _)| only.is_none_or(|only| only == *topic)) {
        let mut stretches = Vec::new();
        for partition in 0..partitions {
            if let Some(first) = floor(connection, topic, partition)? {
                let total = total_at(storage, topic, partition, first)?;
                stretches.push((partition, first, total, end(connection, topic, partition)?));
            }
        }
        let size: u64 = stretches.iter().map(|(_, _, first, end)| end.total - first).sum();
        let excess = size.saturating_sub(settings.retain_bytes);
        for (partition, first, total, end) in stretches {
            // Every partition gives the same part of its size.
            let cut = total + ((end.total - total) as u128 * excess as u128 / size.max(1) as u128) as u64;
            let by_size =
                if excess == 0 { first } else { find(storage, topic, partition, (first, end.next), "total", cut)? };
            let by_age = find(storage, topic, partition, (first, end.next), "time", oldest)?;
            let until = by_size.max(by_age).min(first + budget);
            if until == first {
                continue;
            }
            remove(storage, topic, partition, until)?;
            if until == end.next {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO part (topic, number, next, total, time) VALUES (?, ?, ?, ?, ?)",
                    )?
                    .execute(params![topic, partition, end.next, end.total, end.time])?;
            }
            budget -= until - first;
            if budget == 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn remove(storage: &Database, topic: i64, partition: u32, until: u64) -> rusqlite::Result<()> {
    storage
        .connection()
        .prepare_cached("DELETE FROM message WHERE place >= ? AND place < ?")?
        .execute([place::first(topic, partition), place::place(topic, partition, until)])?;
    Ok(())
}

fn total_at(storage: &Database, topic: i64, partition: u32, offset: u64) -> rusqlite::Result<u64> {
    storage
        .connection()
        .prepare_cached("SELECT total FROM message WHERE place = ?")?
        .query_row([place::place(topic, partition, offset)], |row| row.get(0))
}

/// Returns the first offset whose column is at least this: both columns only grow within a partition.
fn find(
    storage: &Database,
    topic: i64,
    partition: u32,
    (mut low, mut high): (u64, u64),
    column: &'static str,
    least: u64,
) -> rusqlite::Result<u64> {
    let sql = if column == "time" {
        "SELECT time FROM message WHERE place = ?"
    } else {
        "SELECT total FROM message WHERE place = ?"
    };
    let mut select = storage.connection().prepare_cached(sql)?;
    while low < high {
        let middle = low + (high - low) / 2;
        let its: Option<u64> =
            select.query_row([place::place(topic, partition, middle)], |row| row.get(0)).optional()?;
        if its.is_some_and(|its| its < least) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
