use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Change, Driver, Listing, Service, Told, Watch};
use micro_core::{Error, Result};
use tokio::time::Instant;

use crate::own::{end, key_of};

/// How often those who are watched are asked. What is told may get lost, and a process that was killed tells nothing.
pub(crate) const ROUND: Duration = Duration::from_secs(10);
/// Who says nothing for so long, in two rounds, is gone, if its time to live has not ended before.
const SILENCE: Duration = Duration::from_secs(25);

/// What one watch knows.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) service: Option<String>,
    pub(crate) told: Told,
    held: Mutex<HashMap<String, Held>>,
    /// It knows what there is, and not only what changed.
    known: AtomicBool,
}

#[derive(Debug, Clone)]
struct Held {
    version: String,
    /// When it was told, and not only answered.
    told: Option<Instant>,
    until: Instant,
}

impl Watched {
    pub(crate) fn new(service: Option<String>) -> Self {
        Self { service, told: Told::new(Listing::new()), held: Mutex::default(), known: AtomicBool::new(false) }
    }

    /// It knows what there is from now on.
    pub(crate) fn known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Takes over what another watch of the same knows.
    pub(crate) fn know_as(&self, other: &Self) {
        self.lock().clone_from(&other.lock());
        other.told.change(|theirs| {
            self.told.change(|ours| {
                ours.clone_from(theirs);
                Vec::new()
            });
            Vec::new()
        });
        self.known();
    }

    pub(crate) fn is_of(&self, service: &str) -> bool {
        self.service.as_ref().is_none_or(|name| name == service)
    }

    /// Takes what its process told of a node. Returns when it is gone if nothing more is heard.
    pub(crate) fn hear(&self, record: &Service, ttl: Option<Duration>) -> Instant {
        self.put(record, ttl, Some(Instant::now()))
    }

    /// Takes the answer to what was asked at some time. What was told since is newer.
    pub(crate) fn answered(&self, record: &Service, ttl: Option<Duration>, asked: Instant) -> Option<Instant> {
        let told = self.lock().get(&key_of(record)).and_then(|held| held.told);
        match told {
            Some(told) if told >= asked => None,
            told => Some(self.put(record, ttl, told)),
        }
    }

    fn put(&self, record: &Service, ttl: Option<Duration>, told: Option<Instant>) -> Instant {
        let key = key_of(record);
        let until = end(ttl.map_or(SILENCE, |ttl| ttl.min(SILENCE)));
        self.lock().insert(key.clone(), Held { version: record.version.clone(), told, until });
        self.told.change(|listing| listing.put(key, record.clone()));
        until
    }

    /// Takes a node away, if it is in this version.
    pub(crate) fn remove(&self, key: &str, version: &str) {
        let mut held = self.lock();
        if held.get(key).is_some_and(|held| held.version == version) {
            held.remove(key);
            drop(held);
            self.told.change(|listing| listing.remove(key).into_iter().collect());
        }
    }

    /// Takes away what is over, and returns when the next one is.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut held = self.lock();
        let over: Vec<String> = held.extract_if(|_, held| held.until <= now).map(|(key, _)| key).collect();
        let next = held.values().map(|held| held.until).min();
        drop(held);
        self.told.change(|listing| over.iter().filter_map(|key| listing.remove(key)).collect());
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who hears of changes. It keeps the connection open.
pub(crate) struct Watching {
    watched: Arc<Watched>,
    _driver: Arc<Driver>,
}

impl Watching {
    pub(crate) fn new(watched: Arc<Watched>, driver: Arc<Driver>) -> Self {
        Self { watched, _driver: driver }
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Change> {
        self.watched.told.next().await
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("service", &self.watched.service).finish_non_exhaustive()
    }
}

/// All watches of a client.
#[derive(Debug, Default)]
pub(crate) struct Watches(Vec<std::sync::Weak<Watched>>);

impl Watches {
    pub(crate) fn add(&mut self, watched: &Arc<Watched>) {
        self.0.retain(|watched| watched.strong_count() > 0);
        self.0.push(Arc::downgrade(watched));
    }

    /// Returns those of a service.
    pub(crate) fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = Arc<Watched>> + 'a {
        self.all().filter(move |watched| watched.is_of(service))
    }

    /// Returns one of the same service, or of all services.
    pub(crate) fn like(&self, watched: &Watched) -> Option<Arc<Watched>> {
        self.all().find(|other| other.service == watched.service && other.known.load(Ordering::Relaxed))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Watched>> + '_ {
        self.0.iter().filter_map(std::sync::Weak::upgrade)
    }

    /// Ends all of them.
    pub(crate) fn end(&mut self, error: &Error) {
        for watched in std::mem::take(&mut self.0).iter().filter_map(std::sync::Weak::upgrade) {
            watched.told.end(error.duplicate());
        }
    }
}
