use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use micro_core::registry::{Change, Driver, Listing, Service, Told, Unreadable, Watch};
use micro_core::{Error, Result};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use zookeeper_client::{AddWatchMode, EventType, PersistentWatcher, SessionState, WatchedEvent};

use crate::error::Failed;
use crate::keeper::Keeper;
use crate::keys;
use crate::session::Session;

/// How many paths are looked at together. Who is behind reads each only once, however often it changed.
const TOGETHER: usize = 16_384;

/// A connection that lived so long was a good one: what comes after its end is not put off.
const STABLE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) unreadable: Arc<Unreadable>,
    pub(crate) service: Option<String>,
}

/// Hears of changes. Its events are read whether anybody waits or not, so that a slow watcher costs what is registered and a
/// limited row of changes.
pub(crate) struct Watching {
    told: Arc<Told>,
    task: AbortHandle,
    _driver: Arc<Driver>,
}

/// A watch that follows what was read.
struct Begun {
    session: Session,
    events: PersistentWatcher,
    records: Vec<(String, Service)>,
}

impl Watching {
    /// Begins it; on the driver's thread.
    pub(crate) async fn begin(watched: Watched, driver: Arc<Driver>) -> Result<Self> {
        let mut begun = watched.begin().await.map_err(|failed| watched.error(failed))?;
        let mut listing = Listing::new();
        listing.replace(std::mem::take(&mut begun.records));
        let told = Arc::new(Told::new(listing));
        let task = tokio::spawn(follow(watched, Arc::clone(&told), begun)).abort_handle();
        Ok(Self { told, task, _driver: driver })
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
    fn root(&self) -> &str {
        &self.keeper.sessions.config.root
    }

    fn error(&self, failed: Failed) -> Error {
        failed.error(&self.keeper.sessions.config, "registry.watch")
    }

    /// Sets a watch, and reads everything: what comes after the watch is looked at again.
    async fn begin(&self) -> Result<Begun, Failed> {
        let service = self.service.as_ref().map(|service| keys::service(self.root(), service));
        let path = service.as_deref().unwrap_or_else(|| self.root());
        self.keeper
            .sessions
            .call(async |session| {
                let events = session.client.watch(path, AddWatchMode::PersistentRecursive).await?;
                let nodes = session.nodes(self.root(), service.as_deref()).await?;
                let records = session.records(nodes, &self.unreadable).await?;
                let records = records.into_iter().filter_map(|(path, record)| Some((path, self.meant(record)?)));
                Ok(Begun { records: records.collect(), events, session })
            })
            .await
    }

    /// Returns a record if it is one of what is watched.
    pub(crate) fn meant(&self, record: Option<Service>) -> Option<Service> {
        // Two names may share their paths: go-micro writes a slash as a dash.
        record.filter(|record| self.service.as_ref().is_none_or(|name| *name == record.name))
    }
}

/// Reads events, and when they end goes on with new ones, until none can be had.
async fn follow(watched: Watched, told: Arc<Told>, mut begun: Begun) {
    let mut ends = 0;
    loop {
        let began = Instant::now();
        let why = read(&watched, &told, &mut begun).await;
        drop(begun);
        ends = if began.elapsed() > STABLE { 0 } else { ends + 1 };
        tracing::debug!(why, ends, "a watch of the ZooKeeper registry was interrupted; everything is read anew");
        sleep(pause(ends)).await;
        match watched.begin().await {
            Ok(mut next) => {
                let records = std::mem::take(&mut next.records);
                told.change(|listing| listing.replace(records));
                begun = next;
            }
            Err(failed) => return told.end(watched.error(failed)),
        }
    }
}

/// Reads events to their end, and says why they ended.
async fn read(watched: &Watched, told: &Told, begun: &mut Begun) -> String {
    loop {
        let mut event = begun.events.changed().await;
        let mut paths = BTreeSet::new();
        // What came together is looked at together.
        loop {
            match event {
                WatchedEvent { event_type: EventType::Session, session_state: SessionState::SyncConnected, .. } => {}
                WatchedEvent { event_type: EventType::Session, session_state, .. } => return session_state.to_string(),
                WatchedEvent { path, .. } if keys::is_node(watched.root(), &path) => drop(paths.insert(path)),
                _ => {}
            }
            match begun.events.changed().now_or_never() {
                Some(next) if paths.len() < TOGETHER => event = next,
                Some(next) => {
                    // It is full: this one is not forgotten.
                    if let EventType::Session = next.event_type {
                        return next.session_state.to_string();
                    }
                    if keys::is_node(watched.root(), &next.path) {
                        paths.insert(next.path);
                    }
                    break;
                }
                None => break,
            }
        }
        if paths.is_empty() {
            continue;
        }
        // As they are now: of a node that went and came again in one step nobody hears.
        match begun.session.records(paths.into_iter().collect(), &watched.unreadable).await {
            Ok(records) => told.change(|listing| {
                let changes = records.into_iter().flat_map(|(path, record)| match watched.meant(record) {
                    Some(record) => listing.put(path, record),
                    None => listing.remove(&path).into_iter().collect(),
                });
                changes.collect()
            }),
            Err(failed) => return format!("{failed:?}"),
        }
    }
}

/// None after a good connection, then longer each time, with a random part so that watchers do not come all at once.
fn pause(ends: u32) -> Duration {
    if ends == 0 {
        return Duration::ZERO;
    }
    let longest = FIRST_PAUSE.saturating_mul(1 << ends.min(7)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
