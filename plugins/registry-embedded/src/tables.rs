//! Everything that is SQL: the one table of `registry.db`.

use std::collections::HashMap;
use std::time::Duration;

use micro_core::registry::Service;
use micro_core::{Error, Kind, Result};
use micro_engine::{Clock, Database, Process, Schema};
use rusqlite::{Connection, params};

/// The file of the folder.
pub(crate) const FILE: &str = "registry.db";

pub(crate) const SCHEMA: Schema = Schema {
    what: "registry",
    steps: &["
        CREATE TABLE node (
            service TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL,
            process TEXT NOT NULL, boot INTEGER NOT NULL, until INTEGER NOT NULL,
            PRIMARY KEY (service, id)
        ) WITHOUT ROWID;
    "],
};

/// Writes the nodes of a record, each with what is said of the service as a whole.
pub(crate) fn register(storage: &Database, process: &Process, service: &Service, ttl: Duration) -> Result<()> {
    let until = Clock::now().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)).min(u64::MAX >> 1);
    for node in &service.nodes {
        let record = serde_json::to_string(&service.with_only(node.clone()))
            .map_err(|error| Error::new(Kind::Encode, "the record of a service is no JSON").source(error))?;
        let sql = "INSERT OR REPLACE INTO node (service, id, record, process, boot, until) VALUES (?, ?, ?, ?, ?, ?)";
        storage
            .connection()
            .prepare_cached(sql)
            .and_then(|mut insert| {
                insert.execute(params![service.name, node.id, record, process.id(), Clock::boot(), until])
            })
            .map_err(|error| storage.failure("register a node", error))?;
    }
    Ok(())
}

/// Removes the nodes of a record, from its version only.
pub(crate) fn deregister(storage: &Database, service: &Service) -> Result<()> {
    for node in &service.nodes {
        storage
            .connection()
            .prepare_cached(
                "DELETE FROM node WHERE service = ? AND id = ?
                 AND CASE WHEN json_valid(record) THEN record ->> '$.version' = ? ELSE true END",
            )
            .and_then(|mut delete| delete.execute([&service.name, &node.id, &service.version]))
            .map_err(|error| storage.failure("deregister a node", error))?;
    }
    Ok(())
}

/// Removes what is over or whose process is dead.
pub(crate) fn bury(storage: &Database, process: &Process) -> Result<()> {
    let failed = |error| storage.failure("remove dead nodes", error);
    let mut dead = Vec::new();
    each(storage.connection(), process, None, |service, id, _, lives| {
        if !lives {
            dead.push((service.to_owned(), id.to_owned()));
        }
    })
    .map_err(failed)?;
    for (service, id) in dead {
        storage
            .connection()
            .prepare_cached("DELETE FROM node WHERE service = ? AND id = ?")
            .and_then(|mut delete| delete.execute([service, id]))
            .map_err(failed)?;
    }
    Ok(())
}

/// Reads the rows of one service, or of all: service, node, record, and whether it is still there.
pub(crate) fn each(
    connection: &Connection,
    process: &Process,
    service: Option<&str>,
    mut row: impl FnMut(&str, &str, &str, bool),
) -> rusqlite::Result<()> {
    let sql = "SELECT service, id, record, process, boot, until FROM node WHERE ?1 IS NULL OR service = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([service])?;
    let (mut alive, now, boot) = (HashMap::new(), Clock::now(), Clock::boot());
    while let Some(found) = rows.next()? {
        let (its_boot, until): (i64, u64) = (found.get(4)?, found.get(5)?);
        let owner: String = found.get(3)?;
        let lives =
            its_boot == boot && until > now && *alive.entry(owner).or_insert_with_key(|owner| process.is_alive(owner));
        let text = |column| found.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        row(text(0)?, text(1)?, text(2)?, lives);
    }
    Ok(())
}
