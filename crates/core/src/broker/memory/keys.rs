use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::flights::Pending;
use super::log::Record;

/// Keeps the order within a key: what is in flight with one member is not given to another.
///
/// Everything of a key that was read from the log and is not in flight waits here in order, but for one: when the key is
/// free, the first stands among the queue's ready messages and speaks for the others.
#[derive(Debug, Default)]
pub(super) struct Keys {
    lanes: HashMap<Bytes, Lane>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    holder: u64,
    flying: u32,
    /// One of this key stands among the ready.
    ready: bool,
    /// In strict order: what came back and is not done, with its partition. Later messages wait for the first of them.
    returned: BTreeMap<u64, u32>,
    waiting: BTreeMap<u64, Pending>,
}

impl Lane {
    fn admits(&self, seq: u64, member: u64) -> bool {
        (self.flying == 0 || self.holder == member)
            && self.returned.first_key_value().is_none_or(|(first, _)| *first >= seq)
    }

    fn fly(&mut self, member: u64) {
        self.holder = member;
        self.flying += 1;
    }

    fn promote(&mut self) -> Option<Pending> {
        if self.flying > 0 || self.ready {
            return None;
        }
        let first = self.waiting.pop_first().map(|(_, pending)| pending);
        self.ready = first.is_some();
        first
    }

    fn empty(&self) -> bool {
        self.flying == 0 && !self.ready && self.waiting.is_empty() && self.returned.is_empty()
    }
}

impl Keys {
    /// Returns how many messages wait for their key.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes the key for a member and returns what it gets: the message, or an earlier one of the key. Without the key the
    /// message waits.
    pub(super) fn admit(&mut self, key: &Bytes, pending: Pending, member: u64) -> Option<Pending> {
        let lane = match self.lanes.get_mut(key) {
            Some(lane) => lane,
            None => self.lanes.entry(key.clone()).or_default(),
        };
        lane.ready = false;
        if lane.waiting.is_empty() && lane.admits(pending.record.seq, member) {
            lane.fly(member);
            return Some(pending);
        }
        lane.waiting.insert(pending.record.seq, pending);
        self.waiting += 1;
        self.follow(key, member)
    }

    /// Returns the next of those that wait for this key, if the member has it or may have it.
    pub(super) fn follow(&mut self, key: &Bytes, member: u64) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        let first = *lane.waiting.first_key_value()?.0;
        if !lane.admits(first, member) {
            return None;
        }
        self.waiting -= 1;
        lane.fly(member);
        lane.waiting.remove(&first)
    }

    /// Gives the key back after a flight that is done. Returns the message that may go now.
    pub(super) fn landed(&mut self, key: &Bytes, seq: u64) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        lane.flying = lane.flying.saturating_sub(1);
        lane.returned.remove(&seq);
        self.promote(key)
    }

    /// Gives the key back after a flight whose message comes again, now or after a pause. `strict`: later ones wait for it.
    pub(super) fn returned(
        &mut self,
        key: &Bytes,
        record: &Record,
        strict: bool,
        now: Option<Pending>,
    ) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        lane.flying = lane.flying.saturating_sub(1);
        if strict {
            lane.returned.insert(record.seq, record.partition);
        }
        if let Some(pending) = now {
            lane.waiting.insert(record.seq, pending);
            self.waiting += 1;
        }
        self.promote(key)
    }

    /// Takes a message whose pause is over. Returns the message that may go now.
    pub(super) fn arrived(&mut self, key: &Bytes, pending: Pending) -> Option<Pending> {
        self.park(key, pending);
        self.promote(key)
    }

    /// Forgets a ready message that will never be handed out, and returns the one that may go now.
    pub(super) fn forget(&mut self, key: &Bytes, seq: u64) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        lane.ready = false;
        lane.returned.remove(&seq);
        self.promote(key)
    }

    fn promote(&mut self, key: &Bytes) -> Option<Pending> {
        let lane = self.lanes.get_mut(key)?;
        let first = lane.promote();
        self.waiting -= usize::from(first.is_some());
        if lane.empty() {
            self.lanes.remove(key);
        }
        first
    }

    fn park(&mut self, key: &Bytes, pending: Pending) {
        self.lanes.entry(key.clone()).or_default().waiting.insert(pending.record.seq, pending);
        self.waiting += 1;
    }

    /// Forgets what waits, in one partition or in all; keys in flight stay held. `ready` are those of the ready messages
    /// that stay. Returns the ready messages as they are now.
    pub(super) fn clear(&mut self, partition: Option<u32>, ready: Vec<Pending>) -> Vec<Pending> {
        let stays = |of: u32| partition.is_some_and(|partition| partition != of);
        for lane in self.lanes.values_mut() {
            lane.ready = false;
            lane.waiting.retain(|_, pending| stays(pending.record.partition));
            lane.returned.retain(|_, of| stays(*of));
        }
        let mut free = Vec::new();
        for pending in ready {
            match pending.record.message.key.clone() {
                Some(key) => self.park(&key, pending),
                None => free.push(pending),
            }
        }
        free.extend(self.lanes.values_mut().filter_map(Lane::promote));
        self.lanes.retain(|_, lane| !lane.empty());
        self.waiting = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        free
    }
}
