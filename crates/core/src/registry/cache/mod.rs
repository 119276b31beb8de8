mod entry;
mod records;
mod watcher;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use self::entry::Entry;
use super::Registry;
use crate::selector::Candidates;
use crate::{Error, Kind, Result};

/// How long the registry may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// For how long the answer "no node" is believed without asking again.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// What is known of a service's nodes.
#[derive(Debug, Clone)]
pub struct Known {
    candidates: Arc<Candidates>,
    unusable: Arc<[String]>,
    stale: Option<Instant>,
}

impl Known {
    /// Returns the nodes, in a fixed order. The list and its entries are the same `Arc`s until something changes.
    #[must_use]
    pub fn candidates(&self) -> &Arc<Candidates> {
        &self.candidates
    }

    /// Returns the addresses, at most 8 of them, of nodes that are listed and left out, because an address is no `host:port`.
    #[must_use]
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }

    /// Tells whether the registry is away, so that this is what was known before.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.is_some()
    }

    /// Returns how long ago the registry went away; zero while it is there.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.stale.map(|since| since.elapsed()).unwrap_or_default()
    }
}

/// A watched cache of a registry: asks once, then hears of changes.
///
/// The first [`get`](Self::get) of a service asks the registry and begins to watch; after that an answer costs no
/// network and no waiting. A service nobody asks for in ten minutes is forgotten; at most 1,024 services are watched, then
/// that of the longest ago goes.
///
/// When the registry is away, it goes on with what it knew and says so, once in the log and by the metric
/// `micro_registry_cache_stale`. It asks again after 100 ms, then after pauses that double to 10 s, half of each at random.
/// If the registry comes back and lists not one node of a service, it has lost its data: the nodes known before stay for
/// 35 s, so that those that live can register again.
///
/// The watch runs on the tokio runtime of the first caller. When that ends, the next caller begins it anew on its own.
///
/// # Examples
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use micro_core::registry::{Cache, Memory, Node, Registry, Service};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let registry = Arc::new(Memory::new());
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:37903"));
/// registry.register(&greeter, Duration::from_secs(60)).await?;
///
/// let cache = Cache::new(registry);
/// assert_eq!(cache.get("greeter").await?.candidates()[0].node.id, "greeter-1");
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Arc<dyn Registry>,
    idle: Duration,
    max: usize,
    epoch: Instant,
    entries: RwLock<HashMap<Arc<str>, Arc<Entry>>>,
}

impl Cache {
    /// Creates an empty cache; does no I/O.
    #[must_use]
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Self::with_limits(registry, Duration::from_secs(600), 1_024)
    }

    /// Creates an empty cache with its own limits: after how long an unused service is forgotten, and how many services it
    /// watches at once.
    #[must_use]
    pub fn with_limits(registry: Arc<dyn Registry>, idle: Duration, max: usize) -> Self {
        let entries = RwLock::default();
        Self { inner: Arc::new(Inner { registry, idle, max: max.max(1), epoch: Instant::now(), entries }) }
    }

    /// Returns the registry behind it.
    #[must_use]
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.inner.registry
    }

    /// Returns the nodes of a service; none if it is not registered. Cancel-safe.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the registry cannot be asked and nothing was known before.
    pub async fn get(&self, service: &str) -> Result<Known> {
        if let Some(known) = self.peek(service) {
            return Ok(known);
        }
        let entry = self.inner.entry(service);
        // One asks, the others wait for its answer.
        let _asking = entry.asking.lock().await;
        if let Some(known) = self.inner.fresh(&entry) {
            return Ok(known);
        }
        entry.used(self.inner.epoch);
        let registry = &self.inner.registry;
        let answer = tokio::time::timeout(ASK_LIMIT, registry.get(service)).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, format!("the registry did not answer within {ASK_LIMIT:?}"))
                .with("registry", registry.name())
                .with("address", registry.address()))
        });
        let failed = match answer {
            Ok(services) => {
                entry.heard(services);
                None
            }
            Err(error) => {
                entry.lost(&error);
                Some(error)
            }
        };
        watcher::start(&self.inner, &entry);
        match (entry.known(), failed) {
            (Some(known), _) => Ok(known),
            (None, Some(error)) => Err(error.with("service", service)),
            (None, None) => Err(Error::new(Kind::Internal, "the registry's answer was not kept")),
        }
    }

    /// Returns what is known without asking anybody, if it can be relied on.
    #[must_use]
    pub fn peek(&self, service: &str) -> Option<Known> {
        let entries = self.inner.entries.read().unwrap_or_else(PoisonError::into_inner);
        self.inner.fresh(entries.get(service)?)
    }

    /// Returns the services it watches and what it knows of them, sorted by name.
    #[must_use]
    pub fn services(&self) -> Vec<(Arc<str>, Known)> {
        let entries = self.inner.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<_> = entries.values().filter_map(|e| Some((Arc::clone(&e.service), e.known()?))).collect();
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        known
    }
}

impl Inner {
    fn fresh(&self, entry: &Entry) -> Option<Known> {
        let known = entry.known()?;
        let usable = entry.is_watched() && (!known.candidates.is_empty() || entry.asked_within(EMPTY_FOR));
        if usable {
            entry.used(self.epoch);
        }
        usable.then_some(known)
    }

    fn entry(&self, service: &str) -> Arc<Entry> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(service) {
            return Arc::clone(entry);
        }
        if entries.len() >= self.max
            && let Some(oldest) = entries.values().min_by_key(|entry| entry.last_used()).map(|e| Arc::clone(&e.service))
            && let Some(entry) = entries.remove(&oldest)
        {
            entry.stop();
        }
        let entry = Arc::new(Entry::new(service));
        entry.used(self.epoch);
        entries.insert(Arc::clone(&entry.service), Arc::clone(&entry));
        entry
    }

    fn forget(&self, entry: &Arc<Entry>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&entry.service).is_some_and(|other| Arc::ptr_eq(other, entry)) {
            entries.remove(&entry.service);
        }
    }
}

/// Ends the watches.
impl Drop for Inner {
    fn drop(&mut self) {
        for entry in self.entries.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            entry.stop();
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("registry", &self.inner.registry)
            .field("services", &self.services().len())
            .finish()
    }
}
