//! What is between the committed offset of a partition and the newest that was handed out.
//!
//! Offsets need not be dense: transactions leave markers, compaction leaves holes. So a window is a list of the messages
//! that came, not of the offsets between.

use std::collections::VecDeque;

use crate::checkpoint::Checkpoint;
use crate::convert::Record;

/// The messages of one partition that are not below its watermark, in the order of their offsets.
#[derive(Debug)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// The number of the first entry; they are counted from 0 for the life of the window.
    first: u64,
    /// The offset after the last message that came; `None` until it is known where the partition begins.
    next: Option<i64>,
    /// What a former owner settled, or counted failures of.
    known: Known,
    out: usize,
    waiting: usize,
    /// Bytes of what is out or waits.
    held: usize,
}

/// A message of a window.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) attempts: u32,
    pub(crate) state: State,
}

/// How far a message is.
#[derive(Debug)]
pub(crate) enum State {
    /// A handler has it.
    Out(Record),
    /// It comes again.
    Waiting(Record),
    /// Done with.
    Settled,
}

/// What was committed beside the offset, as far as it was not met yet.
#[derive(Debug, Default)]
struct Known {
    attempts: VecDeque<(i64, u32)>,
    settled: VecDeque<(i64, i64)>,
}

impl Window {
    /// Begins where a committed offset, or a start, says.
    pub(crate) fn new(next: Option<i64>, checkpoint: Checkpoint) -> Self {
        let known = Known { attempts: checkpoint.attempts.into(), settled: checkpoint.settled.into() };
        Self { entries: VecDeque::new(), first: 0, next, known, out: 0, waiting: 0, held: 0 }
    }

    /// The offset after the last message that came.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Goes on from another offset; what came so far stays.
    pub(crate) fn jump(&mut self, next: i64) {
        self.next = Some(self.next.map_or(next, |known| known.max(next)));
    }

    /// How many messages are above the watermark.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them handlers have.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    /// How many bytes of them are kept: those that handlers have, and those that wait.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many wait to come again.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Tells whether a message is new here: not settled by a former owner, and not met already.
    pub(crate) fn is_new(&mut self, offset: i64) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        let settled = self.known.settled(offset);
        if settled {
            self.next = Some(offset + 1);
            self.push(Entry { offset, attempts: 0, state: State::Settled });
            self.advance();
        }
        !settled
    }

    /// Takes a new message in, in the state of waiting, and returns its number.
    pub(crate) fn take_in(&mut self, offset: i64, record: Record) -> u64 {
        self.next = Some(offset + 1);
        let attempts = self.known.attempts(offset);
        self.waiting += 1;
        self.held += record.len();
        self.push(Entry { offset, attempts, state: State::Waiting(record) });
        self.first + self.entries.len() as u64 - 1
    }

    /// Takes a new message in and hands it out at once; returns its number and its failures.
    pub(crate) fn take_out(&mut self, offset: i64, record: Record) -> (u64, u32) {
        self.next = Some(offset + 1);
        let attempts = self.known.attempts(offset);
        self.out += 1;
        self.held += record.len();
        self.push(Entry { offset, attempts, state: State::Out(record) });
        (self.first + self.entries.len() as u64 - 1, attempts)
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// The entry of a number, unless it is below the watermark.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(place)
    }

    /// Raises the failure count to what the message itself tells, if that is more than the last commit does.
    pub(crate) fn raise_attempts(&mut self, number: u64, attempts: u32) {
        if let Some(entry) = self.entry(number) {
            entry.attempts = entry.attempts.max(attempts);
        }
    }

    /// The record of a message that waits, with its offset and failures.
    pub(crate) fn waiting_record(&self, number: u64) -> Option<(i64, u32, Record)> {
        let entry = self.get(number)?;
        match &entry.state {
            State::Waiting(record) => Some((entry.offset, entry.attempts, record.clone())),
            State::Out(_) | State::Settled => None,
        }
    }

    /// Hands a waiting message out: offset, failure count, record. `None` if it does not wait.
    pub(crate) fn hand_out(&mut self, number: u64) -> Option<(i64, u32, Record)> {
        let entry = self.entry(number)?;
        let State::Waiting(record) = &entry.state else { return None };
        let (offset, attempts, record) = (entry.offset, entry.attempts, record.clone());
        let State::Waiting(kept) = std::mem::replace(&mut entry.state, State::Settled) else { return None };
        entry.state = State::Out(kept);
        self.waiting -= 1;
        self.out += 1;
        Some((offset, attempts, record))
    }

    /// Notes that a message is done with. Returns whether a handler had it.
    pub(crate) fn settle(&mut self, number: u64) -> bool {
        let Some(entry) = self.entry(number) else { return false };
        let before = std::mem::replace(&mut entry.state, State::Settled);
        let out = matches!(before, State::Out(_));
        self.out -= usize::from(out);
        self.waiting -= usize::from(matches!(before, State::Waiting(_)));
        if let State::Out(record) | State::Waiting(record) = before {
            self.held -= record.len();
        }
        self.advance();
        out
    }

    /// Takes a message back from its handler, to come again. Returns whether a handler had it.
    pub(crate) fn take_back(&mut self, number: u64, attempts: u32) -> bool {
        let Some(entry) = self.entry(number) else { return false };
        let State::Out(record) = &entry.state else { return false };
        entry.state = State::Waiting(record.clone());
        entry.attempts = attempts;
        self.out -= 1;
        self.waiting += 1;
        true
    }

    /// The number of the first message that is not settled, if it waits; it is what holds the watermark.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        matches!(self.entries.front()?.state, State::Waiting(_)).then_some(self.first)
    }

    fn advance(&mut self) {
        while let Some(Entry { state: State::Settled, .. }) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The offset to commit: everything below it is settled. `None` if nothing is known yet.
    pub(crate) fn watermark(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.offset).or(self.next)
    }

    /// The offset to commit and what to commit beside it, as if these were settled too.
    pub(crate) fn checkpoint(&self, besides: &[u64]) -> Option<(i64, Checkpoint)> {
        let number_of = |place: usize| self.first + place as u64;
        let settled = |place: usize, entry: &Entry| {
            matches!(entry.state, State::Settled) || (!besides.is_empty() && besides.contains(&number_of(place)))
        };
        let begin = (0..self.entries.len()).find(|place| !settled(*place, &self.entries[*place]));
        let Some(begin) = begin else {
            return Some((self.next?, self.known.checkpoint()));
        };
        let base = self.entries[begin].offset;
        let mut checkpoint = Checkpoint::default();
        let mut run: Option<(i64, i64)> = None;
        for (place, entry) in self.entries.iter().enumerate().skip(begin) {
            if settled(place, entry) {
                let run = run.get_or_insert((entry.offset, entry.offset + 1));
                run.1 = entry.offset + 1;
                continue;
            }
            checkpoint.settled.extend(run.take());
            if entry.attempts > 0 {
                checkpoint.attempts.push((entry.offset, entry.attempts));
            }
        }
        checkpoint.settled.extend(run);
        // What a former owner left above all that came so far still holds.
        let Checkpoint { mut attempts, mut settled } = self.known.checkpoint();
        checkpoint.attempts.append(&mut attempts);
        checkpoint.settled.append(&mut settled);
        Some((base, checkpoint))
    }
}

impl Known {
    /// Offsets are asked for in ascending order.
    fn settled(&mut self, offset: i64) -> bool {
        while self.settled.front().is_some_and(|(_, end)| *end <= offset) {
            self.settled.pop_front();
        }
        match self.settled.front_mut().filter(|(from, _)| *from <= offset) {
            Some((from, _)) => {
                *from = offset + 1;
                true
            }
            None => false,
        }
    }

    fn attempts(&mut self, offset: i64) -> u32 {
        while self.attempts.front().is_some_and(|(known, _)| *known < offset) {
            self.attempts.pop_front();
        }
        match self.attempts.front() {
            Some((known, attempts)) if *known == offset => {
                let attempts = *attempts;
                self.attempts.pop_front();
                attempts
            }
            _ => 0,
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            attempts: self.attempts.iter().copied().collect(),
            settled: self.settled.iter().copied().filter(|(from, end)| from < end).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::of(0)
    }

    /// A window that offsets came into and were handed out of.
    fn window(next: Option<i64>, checkpoint: Checkpoint, offsets: &[i64]) -> Window {
        let mut window = Window::new(next, checkpoint);
        for offset in offsets {
            if window.is_new(*offset) {
                let number = window.take_in(*offset, record());
                window.hand_out(number).unwrap();
            }
        }
        window
    }

    #[test]
    fn the_watermark_is_the_first_unsettled_and_holes_do_not_hold_it() {
        let mut window = window(Some(10), Checkpoint::default(), &[10, 11, 15, 16]);
        assert_eq!(window.watermark(), Some(10));
        window.settle(1);
        window.settle(2);
        assert_eq!(window.checkpoint(&[]), Some((10, Checkpoint { settled: vec![(11, 16)], ..Checkpoint::default() })));
        window.settle(0);
        assert_eq!((window.watermark(), window.out()), (Some(16), 1));
        window.settle(3);
        assert_eq!((window.watermark(), window.len()), (Some(17), 0));
    }

    #[test]
    fn the_next_owner_skips_what_was_settled_and_knows_the_failures() {
        let mut first = window(Some(0), Checkpoint::default(), &[0, 1, 2, 3, 4, 5]);
        first.settle(2);
        first.settle(3);
        first.settle(5);
        assert!(first.take_back(1, 2));
        let (base, checkpoint) = first.checkpoint(&[]).unwrap();
        let read = Checkpoint::read(base, checkpoint.write(base).as_bytes());
        assert_eq!(read, checkpoint);

        let mut second = Window::new(Some(base), read);
        let mut came = Vec::new();
        for offset in 0..8 {
            if second.is_new(offset) {
                let number = second.take_in(offset, record());
                let (offset, attempts, _) = second.hand_out(number).unwrap();
                came.push((offset, attempts));
            }
        }
        assert_eq!(came, [(0, 0), (1, 2), (4, 0), (6, 0), (7, 0)]);
        // Half-way through, a third owner is told of all that still holds.
        assert_eq!(second.checkpoint(&[]).unwrap().1.settled, [(2, 4), (5, 6)]);
    }

    #[test]
    fn what_was_not_met_yet_is_committed_again() {
        let checkpoint = Checkpoint { attempts: vec![(20, 1)], settled: vec![(12, 14), (30, 40)] };
        let mut window = window(Some(10), checkpoint, &[10, 11, 12]);
        window.settle(0);
        window.settle(1);
        let (base, left) = window.checkpoint(&[]).unwrap();
        assert_eq!(base, 13);
        assert_eq!(left, Checkpoint { attempts: vec![(20, 1)], settled: vec![(13, 14), (30, 40)] });
    }

    #[test]
    fn what_is_kept_is_counted_until_it_is_settled() {
        let mut window = Window::new(Some(0), Checkpoint::default());
        for offset in 0..2 {
            window.take_out(offset, Record::of(100));
        }
        let number = window.take_in(2, Record::of(100));
        assert_eq!(window.held(), 300);
        window.take_back(0, 1);
        window.hand_out(number);
        assert_eq!(window.held(), 300);
        for number in [1, 0, 2, 2] {
            window.settle(number);
        }
        assert_eq!((window.held(), window.out(), window.waiting()), (0, 0, 0));
    }

    #[test]
    fn a_checkpoint_may_count_some_as_settled_that_are_not_yet() {
        let window = window(Some(0), Checkpoint::default(), &[0, 1, 2]);
        assert_eq!(window.checkpoint(&[0, 1]).unwrap().0, 2);
        assert_eq!(window.checkpoint(&[0, 1, 2]).unwrap().0, 3);
        assert_eq!(window.checkpoint(&[]).unwrap().0, 0);
    }
}
