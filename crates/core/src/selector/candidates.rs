use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Candidate;

/// The nodes of a service, in a fixed order: the same list from call to call, until the registry changes.
///
/// A strategy that needs more than the nodes (a ring, a schedule) keeps it [with the list](Self::prepared): it is made
/// once a list, found without a lock or a hash, and goes when the list goes.
pub struct Candidates {
    nodes: Box<[Arc<Candidate>]>,
    prepared: Slot,
}

#[derive(Default)]
struct Slot(OnceLock<Box<Prepared>>);

struct Prepared {
    owner: u64,
    value: Box<dyn Any + Send + Sync>,
    next: Slot,
}

/// How many owners keep something with one list. One more makes its own anew at each call.
const MOST: usize = 16;

/// Who keeps something with lists of nodes; each strategy has its own.
#[derive(Debug)]
pub struct Owner(u64);

impl Default for Owner {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Candidates {
    /// Creates a list.
    #[must_use]
    pub fn new(nodes: impl Into<Box<[Arc<Candidate>]>>) -> Self {
        Self { nodes: nodes.into(), prepared: Slot::default() }
    }

    /// Uses what `owner` keeps with this list, made by `build` when it is first asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use micro_core::selector::{Candidates, Owner};
    ///
    /// let (list, owner) = (Candidates::new([]), Owner::default());
    /// assert_eq!(list.prepared(&owner, |nodes| nodes.len(), |count| *count), 0);
    /// ```
    pub fn prepared<T: Send + Sync + 'static, R>(
        &self,
        owner: &Owner,
        build: impl Fn(&Self) -> T,
        using: impl FnOnce(&T) -> R,
    ) -> R {
        let mut slot = &self.prepared;
        for _ in 0..MOST {
            let kept = slot.0.get_or_init(|| {
                Box::new(Prepared { owner: owner.0, value: Box::new(build(self)), next: Slot::default() })
            });
            if kept.owner == owner.0
                && let Some(value) = kept.value.downcast_ref()
            {
                return using(value);
            }
            slot = &kept.next;
        }
        using(&build(self))
    }
}

impl Deref for Candidates {
    type Target = [Arc<Candidate>];

    fn deref(&self) -> &Self::Target {
        &self.nodes
    }
}

impl fmt::Debug for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes.iter()).finish()
    }
}

/// A part of a list that is a list of its own, with what strategies keep with it.
pub(super) struct Part {
    pub(super) list: Candidates,
    places: Box<[u32]>,
}

impl Part {
    /// Takes the nodes at these places.
    pub(super) fn of(whole: &[Arc<Candidate>], places: impl Into<Box<[u32]>>) -> Self {
        let places = places.into();
        let nodes: Vec<_> = places.iter().filter_map(|place| whole.get(*place as usize)).cloned().collect();
        Self { list: Candidates::new(nodes), places }
    }

    /// Returns the place in the whole of a place in the part.
    pub(super) fn in_whole(&self, place: usize) -> Option<usize> {
        self.places.get(place).map(|place| *place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_owner_keeps_is_made_once_a_list_and_is_its_own() {
        let list = Candidates::new([]);
        let (one, other) = (Owner::default(), Owner::default());
        for _ in 0..3 {
            assert_eq!(list.prepared(&one, |_| Arc::new(1), Arc::strong_count), 1);
            assert_eq!(list.prepared(&other, |_| "two", |text| *text), "two");
        }
        let built = std::cell::Cell::new(0);
        for _ in 0..3 {
            list.prepared(&Owner::default(), |_| built.set(built.get() + 1), |()| ());
        }
        assert_eq!(built.get(), 3);
    }

    #[test]
    fn owners_beyond_the_limit_are_served_and_keep_nothing() {
        let list = Candidates::new([]);
        let owners: Vec<_> = (0..MOST + 3).map(|_| Owner::default()).collect();
        for round in 0..2 {
            for (i, owner) in owners.iter().enumerate() {
                let built = std::cell::Cell::new(false);
                let got = list.prepared(owner, |_| (i, built.set(true)).0, |value| *value);
                assert_eq!((got, built.get()), (i, round == 0 || i >= MOST));
            }
        }
    }
}
