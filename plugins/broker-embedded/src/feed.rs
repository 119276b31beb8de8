//! Reading ahead for one subscription.

use std::sync::Arc;
use std::time::Duration;

use micro_engine::Clock;
use rusqlite::Connection;

use crate::convert::wall_now;
use crate::job::Job;
use crate::member::{Member, Phase};
use crate::share::{Plan, Row, Times};
use crate::tables::message;

/// As many messages of one partition as are read at once.
const PAGE: usize = 512;

struct Read {
    partition: u32,
    generation: u64,
    plan: Plan,
    again: Vec<Row>,
    fresh: Option<(Vec<Row>, bool)>,
}

impl Member {
    /// Reads what is due and what is new, as far as there is room. Returns when to come again, if that is known.
    pub(crate) fn feed(self: &Arc<Self>, reader: &Connection) -> rusqlite::Result<Option<Duration>> {
        let now = Clock::now();
        let mut reads = self.plan(now);
        if !reads.is_empty() {
            let topic = self.topic_id;
            if !reader.is_autocommit() {
                // The last look ended in the middle.
                reader.execute_batch("ROLLBACK")?;
            }
            reader.prepare_cached("BEGIN")?.execute([])?;
            let read: rusqlite::Result<()> = reads.iter_mut().try_for_each(|read| {
                read.again = message::pick(reader, topic, read.partition, &read.plan.again)?;
                if let Some((from, limit)) = read.plan.fresh {
                    read.fresh = Some(message::page(reader, topic, read.partition, from, limit)?);
                }
                Ok(())
            });
            reader.prepare_cached("COMMIT")?.execute([])?;
            read?;
            reads.iter().for_each(|read| self.report_damage(read));
            self.take_in(reads);
        }
        Ok(self.come_again(now))
    }

    fn plan(&self, now: u64) -> Vec<Read> {
        let mut state = self.lock();
        if state.phase != Phase::Live || state.has_failed() || self.lease_is_over(&state) {
            return Vec::new();
        }
        let mut room = self.room(&state);
        state.sated = room == 0;
        // One suspect at a time, and first the one that was handed out least: the guilty one always has more.
        let busy = state.out.values().any(|out| out.suspect) || state.shares.values().any(|share| share.has_suspect());
        let suspects = state.shares.values().filter(|share| share.draining.is_none() && !busy);
        let suspect = suspects.filter_map(|share| Some((share.first_suspect(now)?, share.partition))).min();
        let hungry = state.shares.values().filter(|share| share.fresh && share.draining.is_none()).count();
        let each = (room / hungry.max(1)).clamp(1, PAGE);
        let mut reads = Vec::new();
        for share in state.shares.values_mut().filter(|share| share.draining.is_none()) {
            if room == 0 && !self.ordered {
                break;
            }
            let plan =
                share.plan(room.min(each), now, suspect.is_some_and(|(_, partition)| partition == share.partition));
            room = room.saturating_sub(plan.again.len() + plan.fresh.map_or(0, |(_, limit)| limit));
            if !plan.again.is_empty() || plan.fresh.is_some() {
                let (partition, generation) = (share.partition, share.generation);
                reads.push(Read { partition, generation, plan, again: Vec::new(), fresh: None });
            }
        }
        reads
    }

    fn take_in(self: &Arc<Self>, reads: Vec<Read>) {
        let clock = Times { boot: Clock::now(), wall: wall_now() };
        let mut lost = 0;
        let mut state = self.lock();
        if state.phase != Phase::Live {
            return;
        }
        for read in reads {
            let share = state.shares.get_mut(&read.partition);
            let Some(share) = share.filter(|s| s.generation == read.generation && s.draining.is_none()) else {
                continue;
            };
            if !read.plan.again.is_empty() {
                lost += share.insert_again(&read.plan.again, read.again, clock);
            }
            if let Some((rows, all)) = read.fresh {
                lost += share.insert_fresh(rows, all, clock);
            }
        }
        let write = state.shares.values().any(|share| share.is_dirty() && share.is_waiting());
        let ready = state.ready_len() > 0;
        drop(state);
        if lost > 0 {
            tracing::warn!(
                topic = %self.topic,
                queue = ?self.queue.as_ref().map(|(queue, _)| queue),
                messages = lost,
                "messages were removed by retention before this subscriber had them; raise retain_hours or retain_mb"
            );
        }
        if write {
            self.folder.push(Job::Mark { member: Arc::clone(self) });
        }
        if ready {
            self.arrived.notify_one();
        }
    }

    /// Says which messages nobody will get: their rows are there, and hold no message.
    fn report_damage(&self, read: &Read) {
        let rows = read.again.iter().chain(read.fresh.iter().flat_map(|(rows, _)| rows));
        let damaged: Vec<u64> = rows.filter(|row| row.record.is_none()).map(|row| row.offset).collect();
        if !damaged.is_empty() {
            tracing::error!(
                topic = %self.topic,
                queue = ?self.queue.as_ref().map(|(queue, _)| queue),
                partition = read.partition,
                offsets = ?damaged,
                "messages are damaged in the database and are left out; look for disk errors in the kernel's log"
            );
        }
    }

    /// Tells when there is something to read again: now, or when a pause ends. `planned` is when it was last looked.
    fn come_again(&self, planned: u64) -> Option<Duration> {
        let mut state = self.lock();
        if state.phase != Phase::Live || state.has_failed() || self.lease_is_over(&state) {
            return None;
        }
        let full = self.room(&state) == 0;
        state.sated |= full;
        if full && !self.ordered {
            return None;
        }
        let shares = || state.shares.values().filter(|share| share.draining.is_none());
        if !full && shares().any(|share| share.wants_more()) {
            return Some(Duration::ZERO);
        }
        let due = shares().filter_map(|share| share.next_due(planned)).min();
        due.map(|due| Duration::from_millis(due.saturating_sub(Clock::now())))
    }

    /// Has everything looked at again: a read failed.
    pub(crate) fn unread(&self) {
        self.lock().shares.values_mut().for_each(|share| share.fresh = true);
    }
}
