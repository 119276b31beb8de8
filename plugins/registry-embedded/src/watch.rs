use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use micro_core::registry::{Change, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

use crate::folder::Folder;
use crate::snapshot::Snapshot;

/// Hears of changes. It keeps the last state it told and compares, so that a slow watcher costs no memory.
pub(crate) struct Watching {
    service: Option<String>,
    receiver: watch::Receiver<Arc<Snapshot>>,
    told: Option<Arc<Snapshot>>,
    pending: VecDeque<Change>,
    /// The folder is open as long as somebody watches it.
    _folder: Arc<Folder>,
}

impl Watching {
    pub(crate) fn new(service: Option<&str>, receiver: watch::Receiver<Arc<Snapshot>>, folder: Arc<Folder>) -> Self {
        Self { service: service.map(str::to_owned), receiver, told: None, pending: VecDeque::new(), _folder: folder }
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Change> {
        let service = self.service.as_deref();
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            let Some(told) = self.told.take() else {
                let now = Arc::clone(&self.receiver.borrow_and_update());
                let state = Change::State(now.services(service));
                self.told = Some(now);
                return Ok(state);
            };
            self.told = Some(Arc::clone(&told));
            self.receiver
                .changed()
                .await
                .map_err(|_| Error::new(Kind::Closed, "the watch of the embedded registry ended; ask for a new one"))?;
            let now = Arc::clone(&self.receiver.borrow_and_update());
            self.pending.extend(told.changes(&now, service));
            self.told = Some(now);
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("service", &self.service).finish_non_exhaustive()
    }
}
