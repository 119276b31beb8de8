use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use super::requests::Requests;
use super::topic::Shared;
use crate::broker::Topic;

/// The topics that some clients share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) name: String,
    topics: RwLock<HashMap<Topic, Arc<Shared>>>,
    members: AtomicU64,
    pub(super) requests: Requests,
}

impl World {
    pub(super) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            topics: RwLock::default(),
            members: AtomicU64::new(0),
            requests: Requests::default(),
        })
    }

    /// Returns the world of a name, which lives as long as somebody uses it.
    pub(super) fn shared(name: &str) -> Arc<Self> {
        static WORLDS: OnceLock<Mutex<HashMap<String, Weak<World>>>> = OnceLock::new();
        let mut worlds = WORLDS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        worlds.retain(|_, world| world.strong_count() > 0);
        match worlds.get(name).and_then(Weak::upgrade) {
            Some(world) => world,
            None => {
                let world = Self::new(name);
                worlds.insert(name.to_owned(), Arc::downgrade(&world));
                world
            }
        }
    }

    pub(super) fn topic(&self, name: &Topic) -> Arc<Shared> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(topics.entry(name.clone()).or_insert_with(|| Arc::new(Shared::new(name.clone()))))
    }

    /// Returns a topic that is there; none is made.
    pub(super) fn known(&self, name: &Topic) -> Option<Arc<Shared>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn topics(&self) -> Vec<Arc<Shared>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn next_member(&self) -> u64 {
        self.members.fetch_add(1, Ordering::Relaxed)
    }
}
