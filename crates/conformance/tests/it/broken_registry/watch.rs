//! The watch of a memory that does one thing wrong.

use std::sync::atomic::Ordering;

use micro_core::registry::{Change, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::registry::{Broken, Wrong};

#[derive(Debug)]
pub(crate) struct BrokenWatch {
    registry: Broken,
    watch: Box<dyn Watch>,
    number: usize,
    prefix: String,
    first: bool,
    /// How many changes it told.
    told: usize,
    /// Somebody waited, and gave up.
    waiting: bool,
}

impl BrokenWatch {
    pub(crate) fn new(registry: Broken, watch: Box<dyn Watch>, number: usize, prefix: String) -> Self {
        let watch = if registry.wrong == Wrong::KeepsEveryChange { Box::new(Kept::begin(watch)) } else { watch };
        Self { registry, watch, number, prefix, first: true, told: 0, waiting: false }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.registry.wrong == wrong
    }

    /// Leaves out what does not begin with the name.
    fn has_prefix(&self, change: &mut Change) -> bool {
        match change {
            Change::State(services) => {
                services.retain(|service| service.name.starts_with(&self.prefix));
                true
            }
            Change::Create(service) | Change::Update(service) | Change::Delete(service) => {
                service.name.starts_with(&self.prefix)
            }
            _ => true,
        }
    }
}

#[async_trait::async_trait]
impl Watch for BrokenWatch {
    async fn next(&mut self) -> Result<Change> {
        loop {
            if self.is(Wrong::DroppingEndsAll) && self.registry.world.dropped.load(Ordering::SeqCst) > 0 {
                return Err(Error::new(Kind::Closed, "the watch ended"));
            }
            let gave_up = std::mem::replace(&mut self.waiting, true);
            let mut change = self.watch.next().await?;
            self.waiting = false;
            if gave_up && self.is(Wrong::LosesWhatIsGivenUp) {
                continue;
            }
            if self.is(Wrong::WatchesByPrefix) && !self.has_prefix(&mut change) {
                continue;
            }
            let first = std::mem::replace(&mut self.first, false);
            if self.is(Wrong::EverythingIsSilent) && self.prefix.is_empty() && !first {
                continue;
            }
            self.told += 1;
            if self.is(Wrong::LosesOneOfManyChanges) && self.told.is_multiple_of(100) {
                continue;
            }
            if let Some(change) = self.registry.told(change, self.number, first).await? {
                return Ok(change);
            }
        }
    }
}

impl Drop for BrokenWatch {
    fn drop(&mut self) {
        self.registry.world.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Keeps whatever comes, for a watcher that does not listen.
#[derive(Debug)]
struct Kept(UnboundedReceiver<Change>);

impl Kept {
    fn begin(mut watch: Box<dyn Watch>) -> Self {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(change) = watch.next().await {
                if sender.send(change).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }
}

#[async_trait::async_trait]
impl Watch for Kept {
    async fn next(&mut self) -> Result<Change> {
        self.0.recv().await.ok_or_else(|| Error::new(Kind::Closed, "the watch ended"))
    }
}
