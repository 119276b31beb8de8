use std::collections::BTreeMap;

use micro_engine::Clock;

use crate::convert::{put, take};
use crate::ranges::Ranges;

/// How far a queue is in one partition: the one row that is written for it, however many deliveries there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Everything below is settled.
    pub(crate) watermark: u64,
    /// What is settled above.
    pub(crate) settled: Ranges,
    /// What is not settled and has a history: failed, released, or in the hands of a process that died.
    pub(crate) entries: BTreeMap<u64, Entry>,
    /// Nothing at this offset or above was ever handed out. It is raised ahead of the handing out, so that a process
    /// that dies leaves behind what it may have had.
    pub(crate) handed: u64,
}

/// The history of one unsettled message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// How often handlers failed with it.
    pub(crate) attempts: u32,
    /// How often it was handed out; a release takes back its own.
    pub(crate) deliveries: u32,
    /// When it may be handed out again, in milliseconds since boot; 0 = at once.
    pub(crate) due: u64,
    /// The hash of its key; 0 = none, or not known.
    pub(crate) key: u64,
}

impl Entry {
    /// Tells whether processes died with it, so that it is handed out alone: the innocent then live.
    pub(crate) fn is_suspect(&self) -> bool {
        self.deliveries > self.attempts + 1
    }
}

const VERSION: u64 = 1;

impl Cursor {
    /// Creates a cursor that begins at an offset.
    pub(crate) fn at(offset: u64) -> Self {
        Self { watermark: offset, handed: offset, ..Self::default() }
    }

    /// Writes it behind what the buffer holds.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        put(buffer, VERSION);
        put(buffer, Clock::boot().unsigned_abs());
        put(buffer, self.watermark);
        put(buffer, self.handed.saturating_sub(self.watermark));
        put(buffer, self.settled.len() as u64);
        let mut at = self.watermark;
        for (start, end) in self.settled.iter() {
            put(buffer, start - at);
            put(buffer, end - start);
            at = end;
        }
        put(buffer, self.entries.len() as u64);
        let mut at = self.watermark;
        for (offset, entry) in &self.entries {
            put(buffer, offset - at);
            put(buffer, u64::from(entry.attempts));
            put(buffer, u64::from(entry.deliveries));
            put(buffer, entry.due);
            put(buffer, entry.key);
            at = *offset;
        }
    }

    /// Reads it; `None` if the bytes are none that [`encode`](Self::encode) wrote. Pauses end with a boot.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut at = 0;
        let mut next = || take(bytes, &mut at);
        if next()? != VERSION {
            return None;
        }
        let same_boot = next()? == Clock::boot().unsigned_abs();
        let mut cursor = Self::at(next()?);
        cursor.handed += next()?;
        let mut offset = cursor.watermark;
        for _ in 0..next()? {
            let start = offset.checked_add(next()?)?;
            offset = start.checked_add(next()?)?;
            cursor.settled.insert_range(start, offset);
        }
        let mut offset = cursor.watermark;
        for _ in 0..next()? {
            offset = offset.checked_add(next()?)?;
            let (attempts, deliveries) = (next()? as u32, next()? as u32);
            let (due, key) = (next()?, next()?);
            let due = if same_boot { due } else { 0 };
            cursor.entries.insert(offset, Entry { attempts, deliveries, due, key });
        }
        Some(cursor)
    }

    /// Takes over from an owner that died: what it may have had in its hands was handed out once.
    ///
    /// `end` is the offset that the next published message gets.
    pub(crate) fn take_over(&mut self, end: u64) {
        let mut offset = self.watermark;
        while offset < self.handed.min(end) {
            match self.settled.end_of(offset) {
                Some(after) => offset = after,
                None => {
                    self.entries.entry(offset).or_insert(Entry { deliveries: 1, ..Entry::default() });
                    offset += 1;
                }
            }
        }
    }

    /// Notes a message as settled, and moves the watermark.
    pub(crate) fn settle(&mut self, offset: u64) {
        if offset < self.watermark {
            return;
        }
        self.entries.remove(&offset);
        if offset > self.watermark {
            self.settled.insert(offset);
            return;
        }
        self.watermark = self.settled.take_at(offset + 1).unwrap_or(offset + 1);
    }

    /// Notes the offsets from `start` up to, not with, `end` as settled, as they are kept no longer. Returns how many
    /// were not.
    pub(crate) fn lose(&mut self, start: u64, end: u64) -> u64 {
        let start = start.max(self.watermark);
        if start >= end {
            return 0;
        }
        let inside = |(from, to): (u64, u64)| to.min(end).saturating_sub(from.max(start));
        let lost = end - start - self.settled.iter().map(inside).sum::<u64>();
        self.entries.retain(|offset, _| *offset < start || *offset >= end);
        self.settled.insert_range(start, end);
        self.watermark = self.settled.take_at(self.watermark).unwrap_or(self.watermark);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Cursor {
        let mut cursor = Cursor::at(100);
        for offset in [103, 104, 110, 100] {
            cursor.settle(offset);
        }
        cursor.entries.insert(105, Entry { attempts: 3, deliveries: 4, due: 77, key: u64::MAX });
        cursor.handed = 120;
        cursor
    }

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = Vec::new();
        sample().encode(&mut buffer);
        assert_eq!(Cursor::decode(&buffer), Some(sample()));
        for cut in 0..buffer.len() {
            assert_eq!(Cursor::decode(&buffer[..cut]), None);
        }
    }

    #[test]
    fn the_watermark_follows_the_lowest_that_is_open() {
        let mut cursor = sample();
        assert_eq!(cursor.watermark, 101);
        cursor.settle(101);
        cursor.settle(102);
        assert_eq!((cursor.watermark, cursor.settled.len()), (105, 1));
        cursor.settle(105);
        assert_eq!((cursor.watermark, cursor.entries.len()), (106, 0));
    }

    #[test]
    fn a_successor_counts_a_delivery_for_all_that_may_have_been_handed_out() {
        let mut cursor = sample();
        cursor.take_over(108);
        let counts: Vec<_> = cursor.entries.iter().map(|(offset, entry)| (*offset, entry.deliveries)).collect();
        assert_eq!(counts, [(101, 1), (102, 1), (105, 4), (106, 1), (107, 1)]);
    }

    #[test]
    fn what_is_kept_no_longer_counts_as_lost_unless_it_was_settled() {
        let mut cursor = sample();
        assert_eq!(cursor.lose(0, 106), 3);
        assert_eq!((cursor.watermark, cursor.entries.len(), cursor.settled.len()), (106, 0, 1));
        assert_eq!(cursor.lose(108, 112), 3);
        assert_eq!((cursor.watermark, cursor.lose(106, 108)), (106, 2));
        assert_eq!((cursor.watermark, cursor.settled.len()), (112, 0));
    }
}
