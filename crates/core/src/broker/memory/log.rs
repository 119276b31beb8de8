use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::later;
use crate::broker::{Message, Position, Start};
use crate::{Error, Kind, Result};

/// How many partitions a topic has.
pub(super) const PARTITIONS: u32 = 16;

/// How long a de-duplication id is remembered, and how many of them a topic keeps.
const WINDOW: Duration = Duration::from_secs(120);
const WINDOW_IDS: usize = 65_536;

/// What a record costs beside its content, for the limit on bytes.
const RECORD_OVERHEAD: usize = 256;

/// A message in its place.
#[derive(Debug)]
pub(super) struct Record {
    /// The number in the whole topic: the order in which messages are handed out.
    pub(super) seq: u64,
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) published: SystemTime,
    pub(super) expires: Option<Instant>,
    pub(super) message: Message,
}

impl Record {
    pub(super) fn position(&self) -> Position {
        Position::Offset { partition: self.partition, offset: self.offset }
    }

    fn bytes(&self) -> usize {
        let headers: usize = self.message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        RECORD_OVERHEAD + self.message.body.len() + headers
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At this number in all partitions.
    All(u64),
    /// At this number in one partition; the others stay where they are.
    One { partition: u32, seq: u64 },
}

/// The messages of one topic, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Log {
    records: VecDeque<Arc<Record>>,
    base: u64,
    bytes: usize,
    offsets: [u64; PARTITIONS as usize],
    turn: u32,
    seen: Window,
}

impl Log {
    /// Returns the number of the oldest record, or the next one's if there is none.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Returns the number that the next record will get.
    pub(super) fn next(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Arc<Record>> {
        self.records.get(usize::try_from(seq.checked_sub(self.base)?).ok()?)
    }

    /// Drops the oldest record and returns its number.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let record = self.records.pop_front()?;
        self.base = record.seq + 1;
        self.bytes -= record.bytes();
        Some(record.seq)
    }

    /// Returns the receipt's position of an earlier message with the same de-duplication id.
    pub(super) fn duplicate(&mut self, message: &Message, now: Instant) -> Option<Option<Position>> {
        let id = message.options()?.deduplication_id.as_ref()?;
        self.seen.find(id, now)
    }

    /// Remembers the de-duplication id of a message that was accepted.
    pub(super) fn remember(&mut self, id: Option<String>, position: Option<Position>, now: Instant) {
        if let Some(id) = id {
            self.seen.insert(id, position, now);
        }
    }

    pub(super) fn append(&mut self, message: Message, wall: SystemTime, now: Instant) -> Position {
        let options = message.options();
        let expires = options.and_then(|options| options.ttl).map(|ttl| later(now, ttl));
        let partition = match (options.and_then(|options| options.partition), &message.key) {
            (Some(partition), _) => partition % PARTITIONS,
            (None, Some(key)) => fnv(key) % PARTITIONS,
            (None, None) => {
                self.turn = (self.turn + 1) % PARTITIONS;
                self.turn
            }
        };
        // What the publisher asked of the broker is no part of what the subscriber gets.
        let message = match options {
            None => message,
            Some(_) => {
                let mut plain = Message::new(message.body);
                plain.headers = message.headers;
                plain.key = message.key;
                plain
            }
        };
        let offset = self.offsets[partition as usize];
        self.offsets[partition as usize] += 1;
        let published = self.records.back().map_or(wall, |last| last.published.max(wall));
        let record = Record { seq: self.next(), partition, offset, published, expires, message };
        self.bytes += record.bytes();
        let position = record.position();
        self.records.push_back(Arc::new(record));
        position
    }

    /// Finds the place that a start means.
    pub(super) fn find(&self, start: Start) -> Result<Place> {
        match start {
            Start::Earliest => Ok(Place::All(self.base)),
            Start::Latest => Ok(Place::All(self.next())),
            Start::Time(time) => {
                Ok(Place::All(self.base + self.records.partition_point(|record| record.published < time) as u64))
            }
            Start::At(Position::Offset { partition, offset }) if partition < PARTITIONS => {
                // The end of a partition is a place too: that of its next message.
                if offset == self.offsets[partition as usize] {
                    return Ok(Place::One { partition, seq: self.next() });
                }
                self.records
                    .iter()
                    .find(|record| record.partition == partition && record.offset == offset)
                    .map(|record| Place::One { partition, seq: record.seq })
                    .ok_or_else(|| self.nowhere(Position::Offset { partition, offset }))
            }
            Start::At(position) => Err(self.nowhere(position)),
        }
    }

    fn nowhere(&self, position: Position) -> Error {
        let kept = match position {
            Position::Offset { partition, .. } if partition < PARTITIONS => {
                let end = self.offsets[partition as usize];
                let first = self.records.iter().find(|record| record.partition == partition);
                format!(
                    "partition {partition} keeps the offsets {} to {end}",
                    first.map_or(end, |record| record.offset)
                )
            }
            Position::Offset { .. } => format!("the topic has the partitions 0 to {}", PARTITIONS - 1),
            Position::Sequence(_) => "the positions of the memory broker are partition/offset".to_owned(),
        };
        Error::new(Kind::NotFound, format!("there is no message at the position {position}; {kept}"))
            .operation("broker.seek")
    }
}

/// The de-duplication ids of the last two minutes.
#[derive(Debug, Default)]
struct Window {
    ids: HashMap<String, Option<Position>>,
    order: VecDeque<(Instant, String)>,
}

impl Window {
    fn find(&mut self, id: &str, now: Instant) -> Option<Option<Position>> {
        while let Some((since, oldest)) = self.order.front()
            && (now.duration_since(*since) > WINDOW || self.order.len() > WINDOW_IDS)
        {
            self.ids.remove(oldest);
            self.order.pop_front();
        }
        self.ids.get(id).copied()
    }

    fn insert(&mut self, id: String, position: Option<Position>, now: Instant) {
        self.order.push_back((now, id.clone()));
        self.ids.insert(id, position);
    }
}

/// FNV-1a: the same key lies in the same partition in every run.
fn fnv(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
