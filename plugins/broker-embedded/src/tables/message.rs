use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::Result;
use micro_core::broker::{Message, Position};
use micro_engine::Database;
use rusqlite::{CachedStatement, Connection, params};

use super::topic::Known;
use crate::convert;
use crate::place;
use crate::share::Row;

/// As many bytes as one look into the table reads at most, but for one message: no read lasts long.
const PAGE_BYTES: usize = 1 << 20;

/// What a row costs beside its record.
const ROW_BYTES: u64 = 24;

pub(crate) const INSERT: &str = "INSERT INTO message (place, time, total, record) VALUES (?, ?, ?, ?)";

/// Stores messages at the ends of their partitions. `run` messages without a key go to the same partition before the
/// next one is used: a page of the table is written for each partition.
pub(crate) fn append(
    storage: &Database,
    insert: &mut CachedStatement<'_>,
    known: &mut Known,
    messages: &[Message],
    run: u32,
    places: &mut Vec<Option<Position>>,
    buffer: &mut Vec<u8>,
) -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
    let mut parts = 0;
    for message in messages {
        let partition = match (message.options().and_then(|options| options.partition), &message.key) {
            (Some(partition), _) if partition < known.partitions => partition,
            (Some(_), _) => {
                places.push(None);
                continue;
            }
            (None, Some(key)) => place::partition(key, known.partitions),
            (None, None) => {
                known.turn = known.turn.wrapping_add(1);
                place::spread(known.turn / run, known.partitions)
            }
        };
        buffer.clear();
        convert::encode(message, buffer);
        let topic = known.id;
        known.grown += buffer.len() as u64 + ROW_BYTES;
        let end = known.end(storage, partition)?;
        end.time = end.time.max(now);
        end.total += buffer.len() as u64 + ROW_BYTES;
        let offset = end.next;
        end.next += 1;
        insert
            .execute(params![place::place(topic, partition, offset), end.time, end.total, &buffer[..]])
            .map_err(|error| storage.failure("store a message", error))?;
        places.push(Some(Position::Offset { partition, offset }));
        parts |= 1 << (partition % 64);
    }
    Ok(parts)
}

/// Reads messages of a partition from an offset on. Tells whether there were no more.
pub(crate) fn page(
    connection: &Connection,
    topic: i64,
    partition: u32,
    from: u64,
    limit: usize,
) -> rusqlite::Result<(Vec<Row>, bool)> {
    let sql = "SELECT place, time, record FROM message WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?";
    let mut select = connection.prepare_cached(sql)?;
    let range = (place::place(topic, partition, from), place::last(topic, partition), limit as i64);
    let mut rows = select.query(range)?;
    let (mut page, mut size) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let row = read(row)?;
        size += row.size;
        page.push(row);
        if size >= PAGE_BYTES {
            return Ok((page, false));
        }
    }
    let all = page.len() < limit;
    Ok((page, all))
}

/// Reads single messages of a partition; those that are kept no longer are left out.
pub(crate) fn pick(connection: &Connection, topic: i64, partition: u32, offsets: &[u64]) -> rusqlite::Result<Vec<Row>> {
    let mut select = connection.prepare_cached("SELECT place, time, record FROM message WHERE place = ?")?;
    let mut picked = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let mut rows = select.query([place::place(topic, partition, *offset)])?;
        if let Some(row) = rows.next()? {
            picked.push(read(row)?);
        }
    }
    Ok(picked)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let place: i64 = row.get(0)?;
    let bytes = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
    let offset = place::offset(place);
    Ok(Row { offset, time: row.get(1)?, size: bytes.len() + 128, record: convert::decode(&bytes) })
}
