use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Change, Listing};
use crate::{Error, Result};

/// How many changes a watcher may be behind before it gets the full state anew.
const BEHIND: usize = 1_024;

/// What a watch has to tell, between who hears of changes and who listens.
///
/// For plugins: a task follows the server and calls [`change`](Self::change), whether anybody listens or not; the
/// [`Watch`](super::Watch) waits in [`next`](Self::next). A watcher that does not listen costs what is listed and 1,024
/// changes; after that it gets the full state.
///
/// # Examples
///
/// ```
/// use micro_core::registry::{Change, Listing, Node, Service, Told};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let told = Told::new(Listing::new());
/// assert_eq!(told.next().await?, Change::State(Vec::new()));
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:37903"));
/// told.change(|listing| listing.put("greeter/greeter-1", greeter.clone()));
/// assert_eq!(told.next().await?, Change::Create(greeter));
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Told {
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
    /// Creates it with what is listed when the watch begins, which is the first thing it tells.
    #[must_use]
    pub fn new(listing: Listing) -> Self {
        let state = State { listing, changes: VecDeque::new(), anew: true, ended: None };
        Self { state: Mutex::new(state), told: Notify::new() }
    }

    /// Waits for what is next. Cancel-safe; for one listener.
    ///
    /// # Errors
    ///
    /// What it [ended](Self::end) with, after all changes before that, again and again.
    pub async fn next(&self) -> Result<Change> {
        loop {
            if let Some(told) = self.lock().next() {
                return told;
            }
            self.told.notified().await;
        }
    }

    /// Changes what is listed, and tells what came of it.
    pub fn change(&self, change: impl FnOnce(&mut Listing) -> Vec<Change>) {
        let mut state = self.lock();
        let changes = change(&mut state.listing);
        state.tell(changes);
        self.told.notify_one();
    }

    /// Tells nothing any more but this.
    pub fn end(&self, error: Error) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::registry::{Node, Service};

    fn record(id: usize) -> Service {
        Service::new("s", "1").node(Node::new(format!("{id:04}"), "h:1"))
    }

    #[tokio::test]
    async fn who_does_not_listen_gets_the_full_state_and_then_the_end() {
        let told = Told::new(Listing::new());
        assert_eq!(told.next().await.unwrap(), Change::State(Vec::new()));
        for id in 0..=BEHIND {
            told.change(|listing| listing.put(id.to_string(), record(id)));
        }
        told.end(Error::new(Kind::Unavailable, "away"));
        let Change::State(state) = told.next().await.unwrap() else { panic!("the full state") };
        assert_eq!(state[0].nodes.len(), BEHIND + 1);
        for _ in 0..2 {
            assert_eq!(told.next().await.unwrap_err().kind(), Kind::Unavailable);
        }
    }
}
