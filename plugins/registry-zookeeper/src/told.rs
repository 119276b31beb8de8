use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use micro_core::registry::{Change, Listing};
use micro_core::{Error, Result};
use tokio::sync::Notify;

/// How many changes a watcher may be behind before it gets the full state anew.
const BEHIND: usize = 1_024;

/// What a watch has to tell, between who hears of it and who listens.
#[derive(Debug)]
pub(crate) struct Told {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Debug)]
struct State {
    listing: Listing,
    changes: VecDeque<Change>,
    /// The next thing it hears is the full state.
    anew: bool,
    ended: Option<Error>,
}

impl Told {
    pub(crate) fn new(listing: Listing) -> Self {
        let state = State { listing, changes: VecDeque::new(), anew: true, ended: None };
        Self { state: Mutex::new(state), told: Notify::new() }
    }

    /// Waits for what is next. Cancel-safe.
    pub(crate) async fn next(&self) -> Result<Change> {
        loop {
            if let Some(told) = self.lock().next() {
                return told;
            }
            self.told.notified().await;
        }
    }

    /// Changes what is listed, and tells what came of it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Listing) -> Vec<Change>) {
        let mut state = self.lock();
        let changes = change(&mut state.listing);
        state.tell(changes);
        self.told.notify_one();
    }

    /// Tells nothing any more but this.
    pub(crate) fn end(&self, error: Error) {
        self.lock().ended = Some(error);
        self.told.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Result<Change>> {
        if std::mem::take(&mut self.anew) {
            return Some(Ok(Change::State(self.listing.services())));
        }
        if let Some(change) = self.changes.pop_front() {
            return Some(Ok(change));
        }
        self.ended.as_ref().map(|error| Err(error.duplicate()))
    }

    fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            if self.anew {
                return;
            }
            if self.changes.len() >= BEHIND {
                self.changes = VecDeque::new();
                self.anew = true;
                return;
            }
            self.changes.push_back(change);
        }
    }
}
