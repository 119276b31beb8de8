use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Change, Listing, Watch};
use micro_core::{Error, Result};
use tokio::time::{Instant, sleep};

use crate::catalog::{Catalog, Found, Indexes};

/// Pauses between questions that are answered at once and with nothing new: some servers do that.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// So long waits a question that is worth its while.
const AT_ONCE: Duration = Duration::from_secs(1);

type Asked = Pin<Box<dyn Future<Output = Result<Found>> + Send>>;

/// Hears of changes by questions that wait for one. There is no task behind it: who does not listen costs nothing, and is
/// told afterwards what is different then.
pub(crate) struct Watching {
    catalog: Arc<Catalog>,
    service: Option<String>,
    listing: Listing,
    pending: VecDeque<Change>,
    index: Indexes,
    /// The question that is on its way; it survives a wait that is given up.
    asked: Option<(Instant, Asked)>,
    pause: Duration,
    /// It told why it ended, and nothing after that: what was missed is in the state of the next watch.
    ended: Option<Error>,
}

impl Watching {
    pub(crate) async fn begin(catalog: Arc<Catalog>, service: Option<&str>) -> Result<Self> {
        let mut watching = Self {
            catalog,
            service: service.map(str::to_owned),
            listing: Listing::new(),
            pending: VecDeque::new(),
            index: Indexes::default(),
            asked: None,
            pause: Duration::ZERO,
            ended: None,
        };
        let found = watching.ask().await?;
        watching.index = found.index;
        watching.listing.replace(found.records);
        watching.pending.push_back(Change::State(watching.listing.services()));
        Ok(watching)
    }

    fn ask(&self) -> Asked {
        let (catalog, index, pause) = (Arc::clone(&self.catalog), self.index, self.pause);
        let (service, known) = (self.service.clone(), self.listing.len());
        Box::pin(async move {
            sleep(pause).await;
            match service {
                Some(service) => catalog.of(&service, index.services).await,
                None => catalog.everything(index, known).await,
            }
        })
    }

    fn take(&mut self, found: Found, took: Duration) {
        let changes = self.listing.replace(found.records);
        self.pause = match changes.is_empty() && took < AT_ONCE + self.pause {
            true => (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
            false => Duration::ZERO,
        };
        self.pending.extend(changes);
        // An index that goes back is another server's, or that of one that was started again: all is asked for anew.
        let back = found.index.services < self.index.services || found.index.checks < self.index.checks;
        self.index = if back { Indexes::default() } else { found.index };
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
            if self.asked.is_none() {
                self.asked = Some((Instant::now(), self.ask()));
            }
            let Some((since, asked)) = &mut self.asked else { continue };
            let (found, took) = (asked.await, since.elapsed());
            self.asked = None;
            match found {
                Ok(found) => self.take(found, took),
                Err(error) => self.ended = Some(error.operation("registry.watch")),
            }
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("service", &self.service).field("index", &self.index).finish_non_exhaustive()
    }
}
