//! Who shares a queue, and who owns which partition.

use std::collections::{BTreeMap, BTreeSet};

use micro_core::broker::{Queue, Start, SubscribeOptions, Topic};
use micro_core::{Error, Kind, Result};
use micro_engine::{Clock, Database, Process};
use rusqlite::{OptionalExtension, params};

use super::start;
use super::topic::Topics;
use crate::config::Settings;
use crate::cursor::Cursor;
use crate::share::AHEAD;

/// What a new member knows.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) topic: i64,
    pub(crate) partitions: u32,
    pub(crate) queue: i64,
    pub(crate) member: i64,
    pub(crate) until: u64,
    pub(crate) owned: Vec<Owned>,
}

/// A partition that was taken.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) partition: u32,
    pub(crate) epoch: i64,
    pub(crate) cursor: Cursor,
}

/// What a look at the queue brought.
#[derive(Debug, Default)]
pub(crate) struct Balanced {
    pub(crate) until: u64,
    /// The member was taken for dead meanwhile: this is its new row, and what it owned is gone.
    pub(crate) reborn: Option<i64>,
    pub(crate) owned: Vec<Owned>,
    /// As many partitions as it should have.
    pub(crate) quota: usize,
    /// Something changed that the others must look at.
    pub(crate) changed: bool,
}

/// Makes a member of a queue, and the queue where it is missing.
pub(crate) fn join(
    storage: &Database,
    topics: &mut Topics,
    process: &Process,
    topic: &Topic,
    (queue, options): (&Queue, &SubscribeOptions),
    settings: &Settings,
) -> Result<Joined> {
    let connection = storage.connection();
    let failed = |error| storage.failure("join a queue", error);
    let (topic_id, partitions) = topics.get(storage, topic, settings).map(|known| (known.id, known.partitions))?;
    let found: Option<i64> = connection
        .prepare_cached("SELECT id FROM queue WHERE topic = ? AND name = ?")
        .and_then(|mut find| find.query_row(params![topic_id, queue.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    let queue = match found {
        Some(queue) => queue,
        None => {
            // A start counts the first time only: a service that is started again must not skip what it missed.
            let start = options.start.unwrap_or(Start::Earliest);
            let found = start::find(storage, topics, topic, settings, start)?;
            let mut offsets: BTreeMap<u32, u64> = found.offsets.into_iter().collect();
            if offsets.len() < partitions as usize {
                let rest = start::find(storage, topics, topic, settings, Start::Earliest)?;
                rest.offsets.into_iter().for_each(|(partition, offset)| _ = offsets.entry(partition).or_insert(offset));
            }
            create(storage, topic_id, queue, &offsets).map_err(failed)?
        }
    };
    let until = Clock::now() + lease_millis(options.lease);
    reap(storage, process, queue)?;
    let member = insert_member(storage, process, queue, until).map_err(failed)?;
    let quota = quota(storage, queue, member, partitions).map_err(failed)?;
    let mut joined = Joined { topic: topic_id, partitions, queue, member, until, owned: Vec::new() };
    joined.owned = claim(storage, topics, topic, settings, (queue, member), &BTreeSet::new(), quota)?;
    Ok(joined)
}

/// Buries the dead, lengthens the lease, takes what is free up to the fair part.
pub(crate) fn balance(
    storage: &Database,
    topics: &mut Topics,
    process: &Process,
    topic: &Topic,
    settings: &Settings,
    (queue, member, lease): (i64, i64, u64),
    mine: &BTreeSet<u32>,
) -> Result<Balanced> {
    let failed = |error| storage.failure("balance a queue", error);
    let until = Clock::now() + lease;
    let mut balanced = Balanced { until, ..Balanced::default() };
    let mut member = member;
    let mut mine = mine;
    let none = BTreeSet::new();
    if !lengthen(storage, member, until).map_err(failed)? {
        member = insert_member(storage, process, queue, until).map_err(failed)?;
        balanced.reborn = Some(member);
        balanced.changed = true;
        mine = &none;
    }
    balanced.changed |= reap(storage, process, queue)?;
    let partitions = topics.get(storage, topic, settings)?.partitions;
    balanced.quota = quota(storage, queue, member, partitions).map_err(failed)?;
    let wanted = balanced.quota.saturating_sub(mine.len());
    balanced.owned = claim(storage, topics, topic, settings, (queue, member), mine, wanted)?;
    Ok(balanced)
}

/// Lengthens a lease. False: the member was taken for dead.
pub(crate) fn lengthen(storage: &Database, member: i64, until: u64) -> rusqlite::Result<bool> {
    let sql = "UPDATE member SET until = ? WHERE id = ?";
    Ok(storage.connection().prepare_cached(sql)?.execute(params![until, member])? > 0)
}

/// Takes a member out of its queue.
pub(crate) fn leave(storage: &Database, queue: i64, member: i64) -> Result<()> {
    let failed = |error| storage.failure("leave a queue", error);
    bury(storage, queue, member).map_err(failed)
}

/// Returns a lease in milliseconds.
pub(crate) fn lease_millis(lease: std::time::Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX >> 2).clamp(100, u64::MAX >> 2)
}

fn create(storage: &Database, topic: i64, queue: &Queue, offsets: &BTreeMap<u32, u64>) -> rusqlite::Result<i64> {
    let connection = storage.connection();
    connection
        .prepare_cached("INSERT INTO queue (topic, name) VALUES (?, ?)")?
        .execute(params![topic, queue.as_str()])?;
    let id = connection.last_insert_rowid();
    let mut insert =
        connection.prepare_cached("INSERT INTO share (queue, number, owner, epoch, state) VALUES (?, ?, 0, 0, ?)")?;
    for (partition, offset) in offsets {
        let mut state = Vec::new();
        Cursor::at(*offset).encode(&mut state);
        insert.execute(params![id, partition, state])?;
    }
    Ok(id)
}

fn insert_member(storage: &Database, process: &Process, queue: i64, until: u64) -> rusqlite::Result<i64> {
    let connection = storage.connection();
    connection
        .prepare_cached("INSERT INTO member (queue, process, boot, until) VALUES (?, ?, ?, ?)")?
        .execute(params![queue, process.id(), Clock::boot(), until])?;
    Ok(connection.last_insert_rowid())
}

/// Removes the members whose process is dead or stands still, and frees what they owned.
fn reap(storage: &Database, process: &Process, queue: i64) -> Result<bool> {
    let failed = |error| storage.failure("look for dead members", error);
    let dead = dead(storage.connection(), process, queue, false).map_err(failed)?;
    for member in &dead {
        bury(storage, queue, *member).map_err(failed)?;
    }
    Ok(!dead.is_empty())
}

/// Returns the members that are dead or stand still.
pub(crate) fn dead(
    connection: &rusqlite::Connection,
    process: &Process,
    queue: i64,
    others_only: bool,
) -> rusqlite::Result<Vec<i64>> {
    let mut select = connection.prepare_cached("SELECT id, process, boot, until FROM member WHERE queue = ?")?;
    let mut rows = select.query([queue])?;
    let (mut dead, mut alive, now) = (Vec::new(), BTreeMap::new(), Clock::now());
    while let Some(row) = rows.next()? {
        let (id, owner, boot, until): (i64, String, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if others_only && owner == process.id() {
            continue;
        }
        let lives = boot == Clock::boot()
            && until > now
            && *alive.entry(owner).or_insert_with_key(|owner| process.is_alive(owner));
        if !lives {
            dead.push(id);
        }
    }
    Ok(dead)
}

fn bury(storage: &Database, queue: i64, member: i64) -> rusqlite::Result<()> {
    let connection = storage.connection();
    connection
        .prepare_cached("UPDATE share SET owner = 0, epoch = epoch + 1 WHERE queue = ? AND owner = ?")?
        .execute([queue, member])?;
    connection.prepare_cached("DELETE FROM member WHERE id = ?")?.execute([member])?;
    Ok(())
}

/// Returns how many partitions a member should own: the oldest members get one more where they do not divide evenly.
fn quota(storage: &Database, queue: i64, member: i64, partitions: u32) -> rusqlite::Result<usize> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE id < ?2) FROM member WHERE queue = ?1";
    let (members, before): (usize, usize) =
        storage.connection().prepare_cached(sql)?.query_row([queue, member], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (members, partitions) = (members.max(1), partitions as usize);
    Ok(partitions / members + usize::from(before < partitions % members))
}

/// Takes free partitions, at most this many. What is this member's by the table but not in its hands is free too.
fn claim(
    storage: &Database,
    topics: &mut Topics,
    topic: &Topic,
    settings: &Settings,
    (queue, member): (i64, i64),
    mine: &BTreeSet<u32>,
    wanted: usize,
) -> Result<Vec<Owned>> {
    let failed = |error| storage.failure("take a partition", error);
    let connection = storage.connection();
    let sql = "SELECT number, epoch, state FROM share WHERE queue = ?1 AND owner IN (0, ?2) ORDER BY number";
    let free: Vec<(u32, i64, Vec<u8>)> = connection
        .prepare_cached(sql)
        .and_then(|mut select| {
            let rows = select.query_map([queue, member], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.filter(|row| row.as_ref().is_ok_and(|(partition, ..)| !mine.contains(partition)))
                .take(wanted)
                .collect()
        })
        .map_err(failed)?;
    let mut owned = Vec::with_capacity(free.len());
    for (partition, epoch, state) in free {
        let mut cursor = Cursor::decode(&state).ok_or_else(|| {
            let text = format!(
                "the state of a queue in {} is damaged (topic {topic}, partition {partition}); nothing was changed in it. \
                 Give the service another queue name and a start, or restore the file from a copy",
                storage.path().display()
            );
            Error::new(Kind::Corrupt, text)
        })?;
        let end = topics.get(storage, topic, settings)?.end(storage, partition)?.next;
        cursor.take_over(end);
        cursor.handed = cursor.handed.max(cursor.watermark + AHEAD);
        let epoch = epoch + 1;
        let mut state = Vec::new();
        cursor.encode(&mut state);
        connection
            .prepare_cached("UPDATE share SET owner = ?, epoch = ?, state = ? WHERE queue = ? AND number = ?")
            .and_then(|mut update| update.execute(params![member, epoch, state, queue, partition]))
            .map_err(failed)?;
        owned.push(Owned { partition, epoch, cursor });
    }
    Ok(owned)
}
