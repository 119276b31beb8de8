use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use micro_core::registry::{Change, Listing, Watch};
use micro_core::{Error, Result};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::config::Source;
use crate::registry::List;

/// Looks at the list again and again, if it is in a file, and tells what is different.
pub(crate) struct Watching {
    list: Arc<List>,
    service: Option<String>,
    listing: Listing,
    pending: VecDeque<Change>,
    /// `None` for a list that cannot change.
    looks: Option<Interval>,
    ended: Option<Error>,
}

impl Watching {
    pub(crate) async fn begin(list: Arc<List>, service: Option<&str>) -> Result<Self> {
        let records = list.read(service).await?;
        let mut listing = Listing::new();
        listing.replace_services(records);
        let looks = matches!(list.config.source, Source::File { .. }).then(|| {
            let mut looks = interval(list.config.interval);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        let pending = VecDeque::from([Change::State(listing.services())]);
        Ok(Self { list, service: service.map(str::to_owned), listing, pending, looks, ended: None })
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Change> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            if let Some(ended) = &self.ended {
                return Err(ended.duplicate());
            }
            let Some(looks) = &mut self.looks else { return pending().await };
            looks.tick().await;
            match self.list.read(self.service.as_deref()).await {
                Ok(records) => self.pending.extend(self.listing.replace_services(records)),
                Err(error) => self.ended = Some(error.operation("registry.watch")),
            }
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("service", &self.service).finish_non_exhaustive()
    }
}
