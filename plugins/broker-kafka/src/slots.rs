use micro_core::broker::Token;

/// Tokens of what is out, and where each lies: found by its place, without hashing.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    /// How often the place was used: a token of a former use is no token.
    uses: u32,
    held: Option<Place>,
}

/// Where a delivery lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the share.
    pub(crate) share: u64,
    /// The number of the message in the share's window.
    pub(crate) number: u64,
}

impl Slots {
    pub(crate) fn insert(&mut self, place: Place) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { uses: 0, held: None });
            // In flight is bounded far below.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        slot.uses = slot.uses.wrapping_add(1);
        slot.held = Some(place);
        Token(u64::from(slot.uses) << 32 | u64::from(index))
    }

    fn slot(&self, token: Token) -> Option<(usize, &Slot)> {
        let index = (token.0 & u64::from(u32::MAX)) as usize;
        self.slots.get(index).filter(|slot| u64::from(slot.uses) == token.0 >> 32).map(|slot| (index, slot))
    }

    pub(crate) fn get(&self, token: Token) -> Option<Place> {
        self.slot(token)?.1.held
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Place> {
        let (index, _) = self.slot(token)?;
        let place = self.slots[index].held.take()?;
        self.free.push(index as u32);
        Some(place)
    }

    /// Forgets what lies in a share.
    pub(crate) fn forget(&mut self, share: u64) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.held.is_some_and(|place| place.share == share) {
                slot.held = None;
                self.free.push(index as u32);
            }
        }
    }

    /// How many are out.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once() {
        let mut slots = Slots::default();
        let place = Place { share: 1, number: 7 };
        let token = slots.insert(place);
        assert_eq!(slots.get(token), Some(place));
        assert_eq!((slots.remove(token), slots.remove(token), slots.len()), (Some(place), None, 0));
        let again = slots.insert(Place { share: 2, number: 8 });
        assert_ne!(again, token);
        assert_eq!(slots.get(token), None);
        slots.forget(2);
        assert_eq!((slots.remove(again), slots.len()), (None, 0));
    }
}
