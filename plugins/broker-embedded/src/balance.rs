//! How a member hears what it owns, and gives away what is too much.

use std::sync::Arc;

use micro_engine::Clock;

use crate::job::Job;
use crate::member::{Member, State};
use crate::tables::queue::{Balanced, Owned};

impl Member {
    /// Takes in what a look at the queue brought.
    pub(crate) fn balanced(&self, balanced: Option<Balanced>) {
        let mut state = self.lock();
        state.balancing = false;
        let Some(balanced) = balanced else { return };
        state.until = balanced.until;
        if let Some(id) = balanced.reborn {
            tracing::warn!(
                topic = %self.topic,
                queue = ?self.queue.as_ref().map(|(queue, _)| queue),
                "this member stood still for longer than its lease; others took over, and it joined again"
            );
            state.id = id;
            let all: Vec<u32> = state.shares.keys().copied().collect();
            all.into_iter().for_each(|partition| state.lose(partition));
        }
        self.own(&mut state, balanced.owned);
        let quota = if state.resting { 0 } else { balanced.quota };
        give_away(&mut state, quota);
        drop(state);
        self.folder.signal();
    }

    /// Takes partitions into its hands.
    pub(crate) fn own(&self, state: &mut State, owned: Vec<Owned>) {
        for Owned { partition, epoch, cursor } in owned {
            self.add_share(state, partition, epoch, cursor);
        }
    }

    /// Gives away what is drained, or could not be drained within the lease.
    pub(crate) fn hand_over(self: &Arc<Self>) {
        let now = Clock::now();
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX >> 1);
        let mut state = self.lock();
        let done = state.shares.values_mut().filter_map(|share| {
            let since = share.draining?;
            let done = share.out == 0 || now > since.saturating_add(lease);
            // Far in the future: it is on its way.
            (done && since < u64::MAX).then(|| {
                share.draining = Some(u64::MAX);
                share.partition
            })
        });
        let partitions: Vec<u32> = done.collect();
        // With nothing left it is no member any more, so that the others share all.
        let id = if state.resting && state.shares.is_empty() { std::mem::take(&mut state.id) } else { 0 };
        drop(state);
        if id != 0 {
            self.folder.push(Job::Rest { member: Arc::clone(self), id });
        }
        if !partitions.is_empty() {
            self.folder.push(Job::Hand { member: Arc::clone(self), partitions });
        }
    }
}

/// Stops handing out of the last partitions beyond the fair part, so that they can go to others.
pub(crate) fn give_away(state: &mut State, quota: usize) {
    let kept = state.shares.values().filter(|share| share.draining.is_none()).count();
    let too_many = kept.saturating_sub(quota);
    let now = Clock::now();
    for share in state.shares.values_mut().rev().filter(|share| share.draining.is_none()).take(too_many) {
        share.draining = Some(now);
        share.drop_ready();
    }
}
