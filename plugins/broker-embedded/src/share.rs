use std::collections::{BTreeSet, HashMap, VecDeque};

use micro_core::broker::Message;

use crate::convert::Record;
use crate::cursor::{Cursor, Entry};
use crate::place::hash;

/// How far the mark of what was handed out runs ahead, so that it is not written for each message.
pub(crate) const AHEAD: u64 = 64;
/// As much history as one partition keeps before it waits for the oldest to be settled.
const HISTORY: usize = 16_384;

/// A message as it was read.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) offset: u64,
    /// Microseconds of 1970.
    pub(crate) time: u64,
    /// `None`: the bytes are damaged.
    pub(crate) record: Option<Record>,
    pub(crate) size: usize,
}

/// A message that waits to be handed out.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) offset: u64,
    pub(crate) time: u64,
    pub(crate) message: Message,
    pub(crate) size: usize,
    pub(crate) attempts: u32,
    pub(crate) deliveries: u32,
    pub(crate) key: u64,
    pub(crate) suspect: bool,
    /// The version of the share that must be written before this is handed out.
    needs: u64,
}

/// What to read for a share.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) again: Vec<u64>,
    pub(crate) fresh: Option<(u64, usize)>,
}

/// One partition in the hands of one member: what was read, what is out, what was settled.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) partition: u32,
    /// The number of this ownership: an older owner's answers are refused.
    pub(crate) epoch: i64,
    /// Another number after each seek: answers from before change nothing.
    pub(crate) generation: u64,
    pub(crate) cursor: Cursor,
    /// There may be messages that were not read yet.
    pub(crate) fresh: bool,
    /// How many are handed out and not settled.
    pub(crate) out: usize,
    /// Since when it is being given away, in milliseconds since boot.
    pub(crate) draining: Option<u64>,
    next: u64,
    ready: VecDeque<Ready>,
    due: BTreeSet<(u64, u64)>,
    /// In strict order: by key, what came back and is not done.
    returned: Option<HashMap<u64, BTreeSet<u64>>>,
    /// The state is written to the database; that of a broadcast is not.
    kept: bool,
    version: u64,
    snapped: u64,
    written: u64,
    mark: u64,
}

impl Share {
    pub(crate) fn new(partition: u32, epoch: i64, generation: u64, cursor: Cursor, ordered: bool, kept: bool) -> Self {
        let due = cursor.entries.iter().map(|(offset, entry)| (entry.due, *offset)).collect();
        let mut share = Self {
            partition,
            epoch,
            generation,
            next: cursor.watermark,
            fresh: true,
            out: 0,
            draining: None,
            ready: VecDeque::new(),
            due,
            returned: ordered.then(HashMap::new),
            kept,
            version: 0,
            snapped: 0,
            written: 0,
            mark: 0,
            cursor,
        };
        let known: Vec<_> = share.cursor.entries.iter().map(|(offset, entry)| (entry.key, *offset)).collect();
        for (key, offset) in known {
            share.note_returned(key, offset);
        }
        share
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready.iter().map(|ready| ready.size).sum()
    }

    /// Returns when the next message that came back is due; what is due already waits for room or for its turn.
    pub(crate) fn next_due(&self, now: u64) -> Option<u64> {
        self.due.range((now + 1, 0)..).next().map(|(due, _)| *due)
    }

    /// Tells whether a look would bring something new.
    pub(crate) fn wants_more(&self) -> bool {
        self.fresh && self.cursor.entries.len() + self.cursor.settled.len() < HISTORY
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.ready.iter().any(|ready| ready.suspect)
    }

    /// Has it written, though nothing else changed.
    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    /// Tells whether it changed since it was last put into a transaction.
    pub(crate) fn is_dirty(&self) -> bool {
        self.kept && self.version > self.snapped
    }

    /// Tells whether something waits for the share to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ready.iter().any(|ready| ready.needs > self.written)
    }

    /// Returns how often the first suspect that is due was handed out. One that has to wait for another of its key does not
    /// count: there is one at a time, and it would keep the other one from being read.
    pub(crate) fn first_suspect(&self, now: u64) -> Option<u32> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        let mut entries = due.filter_map(|(_, offset)| Some((*offset, self.cursor.entries.get(offset)?)));
        let first = entries.find(|(offset, entry)| entry.is_suspect() && self.is_next_of_key(entry.key, *offset));
        first.map(|(_, entry)| entry.deliveries)
    }

    /// Says what to read: what is due first, so that a key's order holds, then what is new. `suspect`: one of those may
    /// be among it.
    pub(crate) fn plan(&mut self, mut room: usize, now: u64, mut suspect: bool) -> Plan {
        let mut plan = Plan::default();
        let mut all = true;
        for (due, offset) in &self.due {
            if *due > now {
                break;
            }
            let Some(entry) = self.cursor.entries.get(offset) else { continue };
            if plan.again.len() >= room && !self.holds_up(*offset, entry) {
                all = false;
                if self.returned.is_none() {
                    break;
                }
                continue;
            }
            if entry.is_suspect()
                && !(self.is_next_of_key(entry.key, *offset) && std::mem::replace(&mut suspect, false))
            {
                continue;
            }
            plan.again.push(*offset);
        }
        room = room.saturating_sub(plan.again.len());
        if all && room > 0 && self.fresh && self.cursor.entries.len() + self.cursor.settled.len() < HISTORY {
            self.next = self.next.max(self.cursor.watermark);
            while let Some(end) = self.cursor.settled.end_of(self.next) {
                self.next = end;
            }
            plan.fresh = Some((self.next, room));
        }
        plan
    }

    /// Takes in what came back and was read again. Returns how many are kept no longer.
    pub(crate) fn insert_again(&mut self, asked: &[u64], rows: Vec<Row>, clock: Times) -> u64 {
        let mut lost = 0;
        let mut rows = rows.into_iter().peekable();
        self.version += 1;
        for offset in asked {
            let Some(entry) = self.cursor.entries.get(offset).copied() else { continue };
            self.due.remove(&(entry.due, *offset));
            let Some(row) = rows.next_if(|row| row.offset == *offset) else {
                lost += 1;
                self.settle_at(*offset, entry.key);
                continue;
            };
            if let Some(ready) = self.judge(row, entry, clock) {
                if let Some(entry) = self.cursor.entries.get_mut(offset) {
                    entry.deliveries += 1;
                    entry.key = ready.key;
                }
                self.note_returned(ready.key, *offset);
                let place = self.ready.partition_point(|other| other.offset < *offset);
                let ready = Ready { deliveries: entry.deliveries + 1, suspect: entry.is_suspect(), ..ready };
                self.ready.insert(place, ready);
            }
        }
        lost
    }

    /// Takes in what is new. `all`: there was no more. Returns how many before it are kept no longer.
    pub(crate) fn insert_fresh(&mut self, rows: Vec<Row>, all: bool, clock: Times) -> u64 {
        self.fresh = !all;
        let Some(last) = rows.last().map(|row| row.offset) else { return 0 };
        let handed = self.cursor.handed;
        let before = self.mark;
        if self.kept && last >= handed {
            self.raise_mark(last + 1);
        }
        let mut lost = 0;
        for row in rows {
            let offset = row.offset;
            if offset > self.next {
                lost += self.cursor.lose(self.next, offset);
                self.version += 1;
            }
            self.next = offset + 1;
            // What came back may have been settled while this was read, and the watermark have gone over it.
            if offset < self.cursor.watermark {
                continue;
            }
            if self.cursor.settled.end_of(offset).is_some() || self.cursor.entries.contains_key(&offset) {
                continue;
            }
            if let Some(ready) = self.judge(row, Entry::default(), clock) {
                let needs = if offset < handed { before } else { self.mark };
                let ready = Ready { needs: if self.kept { needs } else { 0 }, deliveries: 1, ..ready };
                match self.ready.back().is_some_and(|back| back.offset > offset) {
                    false => self.ready.push_back(ready),
                    true => {
                        let place = self.ready.partition_point(|other| other.offset < offset);
                        self.ready.insert(place, ready);
                    }
                }
            }
        }
        lost
    }

    /// Sorts out what has expired, what appears later and what cannot be read.
    fn judge(&mut self, row: Row, entry: Entry, clock: Times) -> Option<Ready> {
        let Some(record) = row.record.filter(|record| record.expires == 0 || record.expires > clock.wall) else {
            self.settle_at(row.offset, entry.key);
            return None;
        };
        let key = record.message.key.as_ref().map_or(0, |key| hash(key).max(1));
        if record.visible > clock.wall {
            let entry = Entry { due: clock.boot.saturating_add(record.visible - clock.wall), ..entry };
            self.cursor.entries.insert(row.offset, entry);
            self.due.insert((entry.due, row.offset));
            return None;
        }
        Some(Ready {
            offset: row.offset,
            time: row.time,
            message: record.message,
            size: row.size,
            attempts: entry.attempts,
            deliveries: entry.deliveries,
            key,
            suspect: false,
            needs: if self.kept { self.version } else { 0 },
        })
    }

    /// Takes the next one that may be handed out now.
    pub(crate) fn take(&mut self, suspect_free: bool) -> Option<Ready> {
        let mut at = 0;
        loop {
            let ready = self.ready.get(at)?;
            if ready.needs > self.written {
                return None;
            }
            if (!ready.suspect || suspect_free) && self.is_next_of_key(ready.key, ready.offset) {
                break;
            }
            at += 1;
        }
        self.out += 1;
        self.ready.remove(at)
    }

    /// Tells whether others of its key wait for it. It is read though there is no room: they may have taken all of it.
    fn holds_up(&self, offset: u64, entry: &Entry) -> bool {
        self.returned.is_some() && entry.key != 0 && self.is_next_of_key(entry.key, offset)
    }

    fn is_next_of_key(&self, key: u64, offset: u64) -> bool {
        let Some(returned) = &self.returned else { return true };
        returned.get(&key).and_then(BTreeSet::first).is_none_or(|first| *first >= offset)
    }

    /// Notes one that was out as settled.
    pub(crate) fn settle(&mut self, offset: u64, key: u64) {
        self.out = self.out.saturating_sub(1);
        self.settle_at(offset, key);
    }

    fn settle_at(&mut self, offset: u64, key: u64) {
        self.cursor.settle(offset);
        self.version += 1;
        if let Some(returned) = &mut self.returned
            && let Some(offsets) = returned.get_mut(&key)
        {
            offsets.remove(&offset);
            if offsets.is_empty() {
                returned.remove(&key);
            }
        }
    }

    /// Notes one that was out as not done, to be handed out again.
    pub(crate) fn give_back(&mut self, offset: u64, entry: Entry) {
        self.out = self.out.saturating_sub(1);
        if offset < self.cursor.watermark {
            return;
        }
        self.cursor.entries.insert(offset, entry);
        self.due.insert((entry.due, offset));
        self.note_returned(entry.key, offset);
        self.version += 1;
    }

    fn note_returned(&mut self, key: u64, offset: u64) {
        if let Some(returned) = &mut self.returned
            && key != 0
        {
            returned.entry(key).or_default().insert(offset);
        }
    }

    /// Forgets what was read and not handed out; it is read again when it is wanted.
    pub(crate) fn drop_ready(&mut self) {
        for ready in self.ready.drain(..) {
            if let Some(entry) = self.cursor.entries.get_mut(&ready.offset) {
                entry.deliveries = entry.deliveries.saturating_sub(1);
                self.due.insert((entry.due, ready.offset));
            } else {
                self.next = self.next.min(ready.offset);
                self.fresh = true;
            }
        }
    }

    fn raise_mark(&mut self, next: u64) {
        self.cursor.handed = next + AHEAD;
        self.version += 1;
        self.mark = self.version;
    }

    /// Puts the state into a transaction: returns the bytes and the version to report when they are written.
    pub(crate) fn snapshot(&mut self) -> (Vec<u8>, u64) {
        if self.next + AHEAD / 2 > self.cursor.handed {
            self.raise_mark(self.next);
        }
        self.snapped = self.version;
        let mut bytes = Vec::with_capacity(48);
        self.cursor.encode(&mut bytes);
        (bytes, self.version)
    }

    /// Hears that a state is written.
    pub(crate) fn wrote(&mut self, version: u64) {
        self.written = self.written.max(version);
    }

    /// Hears that the transaction failed: the state has to be written again.
    pub(crate) fn not_written(&mut self) {
        self.snapped = self.written;
    }

    /// Returns the last state, for a successor: nothing is in doubt, so nothing counts as handed out.
    pub(crate) fn last_state(&mut self, out: impl Iterator<Item = (u64, Entry)>) -> Vec<u8> {
        self.drop_ready();
        for (offset, entry) in out {
            self.give_back(offset, entry);
        }
        self.cursor.handed = self.cursor.watermark;
        let mut bytes = Vec::new();
        self.cursor.encode(&mut bytes);
        bytes
    }
}

/// What time it is: since boot, and since 1970, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) boot: u64,
    pub(crate) wall: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: u64) -> Row {
        let record = Record { message: Message::new("a body"), visible: 0, expires: 0 };
        Row { offset, time: 0, record: Some(record), size: 100 }
    }

    #[test]
    fn what_was_settled_while_it_was_read_as_new_is_not_handed_out_again() {
        let mut cursor = Cursor::at(0);
        cursor.handed = 2;
        cursor.take_over(4);
        let mut share = Share::new(0, 1, 1, cursor, false, true);
        let now = Times { boot: 1, wall: 1 };
        let plan = share.plan(10, 1, true);
        assert_eq!((plan.again.as_slice(), plan.fresh), ([0, 1].as_slice(), Some((0, 8))));
        share.insert_again(&plan.again, vec![row(0), row(1)], now);
        let (_, version) = share.snapshot();
        share.wrote(version);
        for offset in 0..2 {
            assert_eq!(share.take(true).map(|ready| ready.offset), Some(offset));
            share.settle(offset, 0);
        }
        share.insert_fresh((0..4).map(row).collect(), true, now);
        let (_, version) = share.snapshot();
        share.wrote(version);
        let rest: Vec<_> = std::iter::from_fn(|| share.take(true)).map(|ready| ready.offset).collect();
        assert_eq!(rest, [2, 3]);
    }
}
