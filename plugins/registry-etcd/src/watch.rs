use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Change, Driver, Listing, Service, Told, Unreadable, Watch};
use micro_core::{Error, Result};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::client::{Answers, Client, Lane};
use crate::error::Failed;
use crate::keys;
use crate::range::range;
use crate::wire::{self, Event, KeyValue, WatchCreate, WatchRequest, WatchResponse};

/// A stream that lived so long was a good one: what comes after its end is not put off.
const STABLE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const DELETED: i32 = 1;

/// What is watched.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) client: Arc<Client>,
    pub(crate) unreadable: Arc<Unreadable>,
    pub(crate) service: Option<String>,
}

/// Hears of changes. Its stream is read whether anybody waits or not, so that a slow watcher holds up nobody, and costs
/// what is registered and a limited row of changes.
pub(crate) struct Watching {
    told: Arc<Told>,
    task: AbortHandle,
    _driver: Arc<Driver>,
}

/// A stream that follows what was read.
struct Begun {
    records: Vec<(String, Service)>,
    stream: Answers<WatchResponse>,
}

impl Watching {
    /// Begins it; on the driver's thread.
    pub(crate) async fn begin(watched: Watched, driver: Arc<Driver>) -> Result<Self> {
        let begun = watched.begin().await.map_err(|failed| watched.error(failed))?;
        let mut listing = Listing::new();
        listing.replace(begun.records);
        let told = Arc::new(Told::new(listing));
        let follow = follow(watched, Arc::clone(&told), begun.stream);
        Ok(Self { told, task: tokio::spawn(follow).abort_handle(), _driver: driver })
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Change> {
        self.told.next().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

impl Watched {
    fn prefix(&self) -> String {
        keys::services(&self.client.config.prefix, self.service.as_deref())
    }

    fn error(&self, failed: Failed) -> Error {
        failed.error(&self.client.config, "registry.watch")
    }

    /// Reads everything, and opens a stream of what comes after it.
    async fn begin(&self) -> Result<Begun, Failed> {
        let prefix = self.prefix();
        let (kvs, stream) = self.client.call(|lane| open(lane, prefix.clone())).await?;
        Ok(Begun { records: kvs.iter().filter_map(|kv| self.record(kv)).collect(), stream })
    }

    /// Returns the record under a key, if it is one of what is watched.
    pub(crate) fn record(&self, kv: &KeyValue) -> Option<(String, Service)> {
        let key = String::from_utf8_lossy(&kv.key).into_owned();
        let service = self.unreadable.read(&key, &kv.value)?;
        // Two names may share their keys: go-micro writes a slash as a dash.
        self.service.as_ref().is_none_or(|name| *name == service.name).then_some((key, service))
    }

    fn changes(&self, listing: &mut Listing, event: &Event) -> Vec<Change> {
        let Some(kv) = &event.kv else { return Vec::new() };
        // One that was deleted has no value.
        let record = if event.kind == DELETED { None } else { self.record(kv) };
        match record {
            Some((key, service)) => listing.put(key, service),
            None => listing.remove(&String::from_utf8_lossy(&kv.key)).into_iter().collect(),
        }
    }
}

async fn open(lane: Lane, prefix: String) -> Result<(Vec<KeyValue>, Answers<WatchResponse>), Status> {
    let found = range(&lane, &prefix).await?;
    let create = WatchCreate {
        range_end: keys::end(&prefix),
        key: prefix.into_bytes(),
        start_revision: found.revision + 1,
        fragment: true,
    };
    let mut stream = lane.stream::<_, WatchResponse>(wire::WATCH, WatchRequest { create: Some(create) }).await?;
    match stream.next().await? {
        Some(answer) if answer.created && !answer.canceled => Ok((found.kvs, stream)),
        Some(answer) => Err(refused(&answer)),
        None => Err(Status::unavailable("the stream of a watch ended before it began")),
    }
}

fn refused(answer: &WatchResponse) -> Status {
    let why = if answer.compact_revision > 0 { "the revision was compacted" } else { &answer.cancel_reason };
    if why.contains("permission denied") {
        Status::permission_denied(why)
    } else if why.contains("auth token") {
        Status::unauthenticated(why)
    } else {
        Status::unavailable(why)
    }
}

/// Reads a stream, and when it ends goes on with another one, until none can be had.
async fn follow(watched: Watched, told: Arc<Told>, mut stream: Answers<WatchResponse>) {
    let mut ends = 0;
    loop {
        let began = Instant::now();
        let why = read(&watched, &told, &mut stream).await;
        ends = if began.elapsed() > STABLE { 0 } else { ends + 1 };
        tracing::debug!(why, ends, "a stream of the etcd registry ended; everything is read anew");
        sleep(pause(ends)).await;
        match watched.begin().await {
            Ok(begun) => {
                told.change(|listing| listing.replace(begun.records));
                stream = begun.stream;
            }
            Err(failed) => return told.end(watched.error(failed)),
        }
    }
}

/// Reads a stream to its end, and says why it ended.
async fn read(watched: &Watched, told: &Told, stream: &mut Answers<WatchResponse>) -> String {
    loop {
        match stream.next().await {
            Ok(Some(answer)) if answer.canceled => return refused(&answer).to_string(),
            Ok(Some(answer)) if answer.events.is_empty() => {}
            Ok(Some(answer)) => {
                told.change(|listing| answer.events.iter().flat_map(|event| watched.changes(listing, event)).collect())
            }
            Ok(None) => return "the server closed it".to_owned(),
            Err(status) => return status.to_string(),
        }
    }
}

/// None after a good stream, then longer each time, with a random part so that watchers do not come all at once.
fn pause(ends: u32) -> Duration {
    if ends == 0 {
        return Duration::ZERO;
    }
    let longest = FIRST_PAUSE.saturating_mul(1 << ends.min(7)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
