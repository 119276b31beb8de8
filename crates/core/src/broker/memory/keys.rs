use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::flights::Pending;
use super::log::Record;

/// Keeps the order within a key: what is in flight with one member is not given to another.
#[derive(Debug, Default)]
pub(super) struct Keys {
    lanes: HashMap<Bytes, Lane>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    holder: u64,
    flying: u32,
    /// In strict order: what came back and is not done, with its partition. Later messages wait for the first of them.
    returned: BTreeMap<u64, u32>,
    /// What was passed over because another member held the key.
    waiting: BTreeMap<u64, Pending>,
}

impl Lane {
    fn admits(&self, seq: u64, member: u64) -> bool {
        (self.flying == 0 || self.holder == member)
            && self.returned.first_key_value().is_none_or(|(first, _)| *first >= seq)
            && self.waiting.first_key_value().is_none_or(|(first, _)| *first >= seq)
    }
}

impl Keys {
    /// Returns how many messages wait for their key.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes the key for a member, or keeps the message until the key is free.
    pub(super) fn admit(&mut self, key: &Bytes, pending: Pending, member: u64) -> Option<Pending> {
        let seq = pending.record.seq;
        let lane = match self.lanes.get_mut(key) {
            Some(lane) => lane,
            None => self.lanes.entry(key.clone()).or_default(),
        };
        if !lane.admits(seq, member) {
            lane.waiting.insert(seq, pending);
            self.waiting += 1;
            return None;
        }
        lane.holder = member;
        lane.flying += 1;
        Some(pending)
    }

    /// Returns the next of those that wait for this key, for the member that just got it.
    pub(super) fn follow(&mut self, key: &Bytes, member: u64) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        let (&seq, _) = lane.waiting.first_key_value()?;
        if !lane.admits(seq, member) {
            return None;
        }
        self.waiting -= 1;
        lane.holder = member;
        lane.flying += 1;
        lane.waiting.remove(&seq)
    }

    /// Gives the key back after a flight. `back`: the message comes again and later ones must wait for it.
    ///
    /// Returns the message that may go now.
    pub(super) fn landed(&mut self, key: &Bytes, record: &Record, back: bool) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        lane.flying = lane.flying.saturating_sub(1);
        if back {
            lane.returned.insert(record.seq, record.partition);
        } else {
            lane.returned.remove(&record.seq);
        }
        self.promote(key)
    }

    /// Forgets a message that will never be handed out, and returns the one that may go now.
    pub(super) fn forget(&mut self, key: &Bytes, seq: u64) -> Option<Pending> {
        self.lanes.get_mut(key)?.returned.remove(&seq);
        self.promote(key)
    }

    fn promote(&mut self, key: &Bytes) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        if lane.flying > 0 {
            return None;
        }
        let next = lane.waiting.pop_first().map(|(_, pending)| pending);
        self.waiting -= usize::from(next.is_some());
        if lane.waiting.is_empty() && lane.returned.is_empty() {
            self.lanes.remove(key);
        }
        next
    }

    /// Forgets what waits, in one partition or in all; keys in flight stay held. Returns what may go now.
    pub(super) fn clear(&mut self, partition: Option<u32>) -> Vec<Pending> {
        let other = |of: u32| partition.is_some_and(|partition| partition != of);
        let mut free = Vec::new();
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|_, pending| other(pending.record.partition));
            lane.returned.retain(|_, of| other(*of));
            if lane.flying == 0 {
                free.extend(lane.waiting.pop_first().map(|(_, pending)| pending));
            }
        }
        self.lanes.retain(|_, lane| lane.flying > 0 || !lane.waiting.is_empty() || !lane.returned.is_empty());
        self.waiting = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        free
    }
}
