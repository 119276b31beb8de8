use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use micro_core::registry::{Listing, Service};
use tokio::sync::mpsc;

use crate::value::Held;
use crate::watch::{Watchers, of};

/// The name of a member.
pub(crate) type Member = Arc<str>;

/// What the members that live say of each node, and what of it counts.
#[derive(Debug, Default)]
pub(crate) struct Book {
    held: HashMap<String, BTreeMap<Member, Held>>,
    listing: Listing,
    watchers: Watchers,
}

impl Book {
    pub(crate) fn put(&mut self, key: &str, member: &Member, held: Held) {
        self.held.entry(key.to_owned()).or_default().insert(Arc::clone(member), held);
        self.settle(key);
    }

    pub(crate) fn take(&mut self, key: &str, member: &Member) {
        if let Some(holders) = self.held.get_mut(key) {
            holders.remove(member);
            self.settle(key);
        }
    }

    /// Returns what counts: the greatest stamp, and of two that are equal that of the greater name, so that all agree.
    pub(crate) fn counts(&self, key: &str) -> Option<(&Member, &Held)> {
        self.held.get(key)?.iter().max_by(|(a, one), (b, other)| (one.stamp, a).cmp(&(other.stamp, b)))
    }

    /// Tells whether a member other than this one says something of a node.
    pub(crate) fn is_held_elsewhere(&self, key: &str, member: &Member) -> bool {
        self.held.get(key).is_some_and(|holders| holders.keys().any(|holder| holder != member))
    }

    pub(crate) fn services(&self, service: Option<&str>) -> Vec<Service> {
        of(&self.listing, service)
    }

    pub(crate) fn watch(&mut self, service: Option<String>, changes: mpsc::Sender<micro_core::registry::Change>) {
        self.watchers.add(service, changes, &self.listing);
    }

    pub(crate) fn catch_up(&mut self) {
        self.watchers.catch_up(&self.listing);
    }

    fn settle(&mut self, key: &str) {
        if self.held.get(key).is_some_and(BTreeMap::is_empty) {
            self.held.remove(key);
        }
        let changes = match self.counts(key).and_then(|(_, held)| held.record.clone()) {
            Some(record) => self.listing.put(key, record),
            None => self.listing.remove(key).into_iter().collect(),
        };
        for change in &changes {
            self.watchers.tell(change);
        }
    }
}
