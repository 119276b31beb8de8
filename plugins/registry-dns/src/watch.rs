use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use micro_core::registry::{Change, Listing, Watch};
use micro_core::{Error, Result};
use tokio::time::{Instant, sleep_until};

use crate::lookup::{Found, Names};

type Asked = Pin<Box<dyn Future<Output = Result<Found>> + Send>>;

/// Asks again when an answer is too old, and tells what is different.
pub(crate) struct Watching {
    names: Arc<Names>,
    service: String,
    listing: Listing,
    pending: VecDeque<Change>,
    until: std::time::Instant,
    /// The question that is on its way; it survives a wait that is given up.
    asked: Option<Asked>,
    ended: Option<Error>,
}

impl Watching {
    pub(crate) async fn begin(names: Arc<Names>, service: &str) -> Result<Self> {
        let found = names.find(service).await?;
        let mut listing = Listing::new();
        listing.replace_services(found.service);
        let pending = VecDeque::from([Change::State(listing.services())]);
        Ok(Self { names, service: service.to_owned(), listing, pending, until: found.until, asked: None, ended: None })
    }

    fn ask(&self) -> Asked {
        let (names, service, until) = (Arc::clone(&self.names), self.service.clone(), self.until);
        Box::pin(async move {
            sleep_until(Instant::from_std(until)).await;
            names.find(&service).await
        })
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
                self.asked = Some(self.ask());
            }
            let Some(asked) = &mut self.asked else { continue };
            let found = asked.await;
            self.asked = None;
            match found {
                Ok(found) => {
                    self.until = found.until;
                    self.pending.extend(self.listing.replace_services(found.service));
                }
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
