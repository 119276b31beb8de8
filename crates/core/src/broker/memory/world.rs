use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use super::client::Client;
use super::following::Following;
use super::requests::Requests;
use super::topic::Shared;
use crate::Result;
use crate::broker::Topic;

/// The topics that some clients share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) name: String,
    topics: RwLock<Topics>,
    members: AtomicU64,
    pub(super) requests: Requests,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Topic, Arc<Shared>>,
    following: Vec<Weak<Following>>,
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

    /// Returns a topic, which is made if it is missing; those whose pattern means it join it before anybody publishes.
    pub(super) fn topic(&self, name: &Topic) -> Arc<Shared> {
        if let Some(topic) = self.read().by_name.get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.write();
        if let Some(topic) = topics.by_name.get(name) {
            return Arc::clone(topic);
        }
        let topic = Arc::new(Shared::new(name.clone()));
        topics.by_name.insert(name.clone(), Arc::clone(&topic));
        topics.following.retain(|following| {
            let Some(following) = following.upgrade() else { return false };
            if let Err(error) = following.join(&topic) {
                tracing::error!(%error, topic = %name, pattern = %following.pattern, "a new topic could not be joined");
            }
            true
        });
        topic
    }

    /// Returns a topic that is there or that a pattern means; another is not made.
    pub(super) fn known(&self, name: &Topic) -> Option<Arc<Shared>> {
        let topics = self.read();
        if let Some(topic) = topics.by_name.get(name) {
            return Some(Arc::clone(topic));
        }
        let mut following = topics.following.iter().filter_map(Weak::upgrade);
        let is_meant = following.any(|following| following.pattern.matches(name));
        drop(topics);
        is_meant.then(|| self.topic(name))
    }

    /// Has a pattern join its topics, those made later too.
    pub(super) fn follow(&self, following: &Arc<Following>) -> Result<()> {
        let mut topics = self.write();
        for topic in topics.by_name.values() {
            following.join(topic)?;
        }
        topics.following.retain(|other| other.strong_count() > 0);
        topics.following.push(Arc::downgrade(following));
        Ok(())
    }

    /// Ends the patterns of a client, so that they join nothing more.
    pub(super) fn unfollow(&self, client: &Client) {
        for following in self.read().following.iter().filter_map(Weak::upgrade) {
            if std::ptr::eq(Arc::as_ptr(&following.client), client) {
                following.end();
            }
        }
    }

    pub(super) fn topics(&self) -> Vec<Arc<Shared>> {
        self.read().by_name.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_member(&self) -> u64 {
        self.members.fetch_add(1, Ordering::Relaxed)
    }
}
