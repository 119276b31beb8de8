use std::sync::Arc;

use tokio::time::Instant;

use super::log::Record;
use crate::broker::Token;

/// A message that waits to be handed out again.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Arc<Record>,
    pub(super) attempts: u32,
    pub(super) deliveries: u32,
}

/// A message that is with a member.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) pending: Pending,
    pub(super) expires: Instant,
    /// A seek passed over it: whatever the answer, it does not come back.
    pub(super) detached: bool,
}

/// The unsettled deliveries of one member. A token is a slot and its generation, so that an old one finds nothing.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    flight: Option<Flight>,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, flight: Flight) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.flight = Some(flight);
        Token(u64::from(slot.generation) << 32 | u64::from(index))
    }

    pub(super) fn has(&self, token: Token) -> bool {
        let slot = self.slots.get((token.0 & u64::from(u32::MAX)) as usize);
        slot.is_some_and(|slot| u64::from(slot.generation) == token.0 >> 32 && slot.flight.is_some())
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Flight> {
        let slot = self.slots.get_mut((token.0 & u64::from(u32::MAX)) as usize)?;
        if u64::from(slot.generation) == token.0 >> 32 { slot.flight.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Flight> {
        self.get_mut(token)?;
        let index = (token.0 & u64::from(u32::MAX)) as u32;
        self.free.push(index);
        self.slots[index as usize].flight.take()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.slots.iter_mut().filter_map(|slot| slot.flight.as_mut())
    }

    /// Takes out those that the condition holds for, oldest message first.
    pub(super) fn take_if(&mut self, mut condition: impl FnMut(&Flight) -> bool) -> Vec<Flight> {
        let mut taken = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.flight.as_ref().is_some_and(&mut condition) {
                taken.extend(slot.flight.take());
                self.free.push(index as u32);
            }
        }
        taken.sort_by_key(|flight| flight.pending.record.seq);
        taken
    }
}
