use std::collections::HashMap;

use micro_core::broker::Topic;
use micro_core::{Error, Kind, Result};
use micro_engine::Database;
use rusqlite::{Connection, OptionalExtension, params};

use crate::config::Settings;
use crate::place::{self, MAX_TOPICS};

/// The topics that the writer knows, and where their partitions end.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    known: HashMap<Topic, Known>,
    version: Option<i64>,
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: i64,
    pub(crate) partitions: u32,
    ends: Vec<Option<End>>,
    /// Where messages without a key go next.
    pub(crate) turn: u32,
    /// Bytes published since the size was last looked at.
    pub(crate) grown: u64,
}

/// What the next message of a partition gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) next: u64,
    pub(crate) total: u64,
    /// Microseconds of 1970; times never go back within a partition.
    pub(crate) time: u64,
}

impl Topics {
    /// Forgets where partitions end if another process wrote meanwhile.
    pub(crate) fn refresh(&mut self, storage: &Database) -> Result<()> {
        let version = data_version(storage.connection()).map_err(|error| storage.failure("look for changes", error))?;
        if self.version.replace(version) != Some(version) {
            for known in self.known.values_mut() {
                known.ends.fill(None);
            }
        }
        Ok(())
    }

    /// Forgets everything: a transaction was rolled back.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns a topic; it is made where it is missing.
    pub(crate) fn get(&mut self, storage: &Database, topic: &Topic, settings: &Settings) -> Result<&mut Known> {
        if !self.known.contains_key(topic) {
            let known = load(storage, topic, settings)?;
            self.known.insert(topic.clone(), known);
        }
        self.known.get_mut(topic).ok_or_else(|| Error::new(Kind::Internal, "a topic was loaded and is not there"))
    }
}

impl Known {
    /// Returns the end of a partition.
    pub(crate) fn end(&mut self, storage: &Database, partition: u32) -> Result<&mut End> {
        let slot = self
            .ends
            .get_mut(partition as usize)
            .ok_or_else(|| Error::new(Kind::Internal, format!("partition {partition} is none of this topic's")))?;
        if slot.is_none() {
            let end = end(storage.connection(), self.id, partition);
            *slot = Some(end.map_err(|error| storage.failure("find the end of a partition", error))?);
        }
        Ok(slot.get_or_insert_default())
    }
}

/// Returns a number that changes when another connection has written.
pub(crate) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Reads a row, if there is one.
pub(crate) fn any(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id FROM topic LIMIT 1")?;
    let _ = statement.query([])?.next()?;
    Ok(())
}

/// Finds the end of a partition in the tables.
pub(crate) fn end(connection: &Connection, topic: i64, partition: u32) -> rusqlite::Result<End> {
    let sql = "SELECT place, total, time FROM message WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1";
    let range = [place::first(topic, partition), place::last(topic, partition)];
    let last = connection.prepare_cached(sql)?.query_row(range, |row| {
        Ok(End { next: place::offset(row.get(0)?) + 1, total: row.get(1)?, time: row.get(2)? })
    });
    if let Some(end) = last.optional()? {
        return Ok(end);
    }
    let sql = "SELECT next, total, time FROM part WHERE topic = ? AND number = ?";
    let emptied = connection.prepare_cached(sql)?.query_row(params![topic, partition], |row| {
        Ok(End { next: row.get(0)?, total: row.get(1)?, time: row.get(2)? })
    });
    Ok(emptied.optional()?.unwrap_or_default())
}

fn load(storage: &Database, topic: &Topic, settings: &Settings) -> Result<Known> {
    let failed = |error| storage.failure("look up a topic", error);
    let connection = storage.connection();
    let found = connection
        .prepare_cached("SELECT id, partitions FROM topic WHERE name = ?")
        .and_then(|mut find| find.query_row([topic.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    let (id, partitions) = match found {
        Some(found) => found,
        None => {
            let last: i64 = connection
                .prepare_cached("SELECT coalesce(max(id), 0) FROM topic")
                .and_then(|mut last| last.query_row([], |row| row.get(0)))
                .map_err(failed)?;
            if last >= MAX_TOPICS {
                let text =
                    format!("{} has {MAX_TOPICS} topics already; {topic} is one too many", storage.path().display());
                return Err(Error::new(Kind::ResourceExhausted, text));
            }
            connection
                .prepare_cached("INSERT INTO topic (name, partitions) VALUES (?, ?)")
                .and_then(|mut make| make.execute(params![topic.as_str(), settings.partitions]))
                .map_err(failed)?;
            (connection.last_insert_rowid(), settings.partitions)
        }
    };
    let turn = std::process::id() % partitions.max(1);
    Ok(Known { id, partitions, ends: vec![None; partitions as usize], turn, grown: 0 })
}
