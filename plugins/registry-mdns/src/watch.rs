use std::collections::BTreeSet;

use async_trait::async_trait;
use micro_core::registry::{Change, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How many changes a watcher may be behind before it gets the full state anew.
const BEHIND: usize = 1_024;

/// Those who hear of changes.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    all: Vec<Watcher>,
    next: u64,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    service: Option<String>,
    changes: mpsc::Sender<Change>,
    /// It was told its first state.
    begun: bool,
    /// It has the state that changes are told upon.
    told: bool,
}

impl Watchers {
    /// Adds one; it hears nothing until [`state`](Self::state) is told.
    pub(crate) fn add(&mut self, service: Option<String>, changes: mpsc::Sender<Change>) -> u64 {
        self.next += 1;
        self.all.push(Watcher { id: self.next, service, changes, begun: false, told: false });
        self.next
    }

    /// Forgets those that went away, and tells whether somebody is left.
    pub(crate) fn any(&mut self) -> bool {
        self.all.retain(|watcher| !watcher.changes.is_closed());
        !self.all.is_empty()
    }

    /// Returns the services that are watched by name.
    pub(crate) fn services(&self) -> BTreeSet<String> {
        self.all.iter().filter_map(|watcher| watcher.service.clone()).collect()
    }

    /// Tells whether somebody watches everything.
    pub(crate) fn everything(&self) -> bool {
        self.all.iter().any(|watcher| watcher.service.is_none())
    }

    /// Tells one watcher, or with `None` all that are behind, the state.
    pub(crate) fn state(&mut self, id: Option<u64>, state: impl Fn(Option<&str>) -> Vec<Service>) {
        for watcher in &mut self.all {
            let due = id.map_or(watcher.begun && !watcher.told, |id| watcher.id == id);
            if due {
                let state = Change::State(state(watcher.service.as_deref()));
                watcher.begun = true;
                watcher.told = watcher.changes.try_send(state).is_ok();
            }
        }
    }

    pub(crate) fn tell(&mut self, change: &Change) {
        let (Change::Create(service) | Change::Update(service) | Change::Delete(service)) = change else { return };
        for watcher in &mut self.all {
            if watcher.told && watcher.service.as_ref().is_none_or(|name| *name == service.name) {
                let sent = watcher.changes.try_send(change.clone());
                watcher.told = !matches!(sent, Err(TrySendError::Full(_)));
            }
        }
    }
}

/// One who hears of changes.
#[derive(Debug)]
pub(crate) struct MdnsWatch(mpsc::Receiver<Change>);

impl MdnsWatch {
    pub(crate) fn new() -> (mpsc::Sender<Change>, Self) {
        let (sender, receiver) = mpsc::channel(BEHIND);
        (sender, Self(receiver))
    }
}

#[async_trait]
impl Watch for MdnsWatch {
    async fn next(&mut self) -> Result<Change> {
        self.0.recv().await.ok_or_else(|| {
            Error::new(Kind::Closed, "the mDNS registry was closed; a watch ends with the last handle of its registry")
        })
    }
}
