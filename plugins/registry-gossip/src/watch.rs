use async_trait::async_trait;
use micro_core::registry::{Change, Listing, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::registry::Shared;

/// How many changes a watcher may be behind before it gets the full state anew.
const BEHIND: usize = 1_024;

/// Those who hear of changes.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<Watcher>);

#[derive(Debug)]
struct Watcher {
    service: Option<String>,
    changes: mpsc::Sender<Change>,
    /// It has the state that changes are told upon.
    told: bool,
}

impl Watchers {
    /// Adds one, and tells it the state.
    pub(crate) fn add(&mut self, service: Option<String>, changes: mpsc::Sender<Change>, listing: &Listing) {
        self.0.push(Watcher { service, changes, told: false });
        self.catch_up(listing);
    }

    /// Forgets those that went away, and tells those that are behind the state.
    pub(crate) fn catch_up(&mut self, listing: &Listing) {
        self.0.retain(|watcher| !watcher.changes.is_closed());
        for watcher in self.0.iter_mut().filter(|watcher| !watcher.told && watcher.changes.capacity() > 0) {
            let state = Change::State(of(listing, watcher.service.as_deref()));
            watcher.told = watcher.changes.try_send(state).is_ok();
        }
    }

    pub(crate) fn tell(&mut self, change: &Change) {
        let (Change::Create(service) | Change::Update(service) | Change::Delete(service)) = change else { return };
        for watcher in &mut self.0 {
            if watcher.told && watcher.service.as_ref().is_none_or(|name| *name == service.name) {
                let sent = watcher.changes.try_send(change.clone());
                watcher.told = !matches!(sent, Err(TrySendError::Full(_)));
            }
        }
    }
}

/// Returns the records of one service, or of all.
pub(crate) fn of(listing: &Listing, service: Option<&str>) -> Vec<Service> {
    let mut services = listing.services();
    services.retain(|found| service.is_none_or(|name| found.name == name));
    services
}

/// One who hears of changes. It keeps the member going.
#[derive(Debug)]
pub(crate) struct GossipWatch {
    changes: mpsc::Receiver<Change>,
    _shared: Shared,
}

impl GossipWatch {
    pub(crate) fn new(shared: Shared) -> (mpsc::Sender<Change>, Self) {
        let (sender, changes) = mpsc::channel(BEHIND);
        (sender, Self { changes, _shared: shared })
    }
}

#[async_trait]
impl Watch for GossipWatch {
    async fn next(&mut self) -> Result<Change> {
        self.changes.recv().await.ok_or_else(|| {
            Error::new(Kind::Unavailable, "the member of the gossip registry ended; watch again, and it begins anew")
        })
    }
}
