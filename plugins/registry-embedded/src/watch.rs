use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use micro_core::registry::{Change, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

use crate::folder::{Folder, Seen};
use crate::snapshot::Snapshot;

/// Hears of changes. It keeps the last state it told and compares, so that a slow watcher costs no memory.
pub(crate) struct Watching {
    service: Option<String>,
    receiver: watch::Receiver<Seen>,
    told: Option<Arc<Snapshot>>,
    pending: VecDeque<Change>,
    /// It told that the folder is gone, and nothing after that: what was missed is in the state of the next watch.
    ended: Option<Arc<Error>>,
    /// The folder is open as long as somebody watches it.
    _folder: Arc<Folder>,
}

impl Watching {
    pub(crate) fn new(service: Option<&str>, receiver: watch::Receiver<Seen>, folder: Arc<Folder>) -> Self {
        let service = service.map(str::to_owned);
        Self { service, receiver, told: None, pending: VecDeque::new(), ended: None, _folder: folder }
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Change> {
        let service = self.service.as_deref();
        loop {
            if let Some(gone) = &self.ended {
                return Err(gone.duplicate());
            }
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            if self.told.is_some() {
                // What comes while it is given up is not lost: it is compared with what was told.
                self.receiver.changed().await.map_err(|_| {
                    Error::new(Kind::Closed, "the watch of the embedded registry ended; ask for a new one")
                })?;
            }
            let seen = self.receiver.borrow_and_update().clone();
            if let Some(gone) = seen.gone {
                self.ended = Some(Arc::clone(&gone));
                return Err(gone.duplicate());
            }
            match self.told.replace(Arc::clone(&seen.snapshot)) {
                Some(told) => self.pending.extend(told.changes(&seen.snapshot, service)),
                None => return Ok(Change::State(seen.snapshot.services(service))),
            }
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("service", &self.service).finish_non_exhaustive()
    }
}
