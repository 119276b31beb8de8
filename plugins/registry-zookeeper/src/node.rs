use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The nodes that this client registered, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Nodes(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Option<Own>>>>>);

/// A node that is kept; `None` beside it is one that is not, or not any more. Locked while it is written.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) version: String,
    pub(crate) data: Vec<u8>,
    /// When it is over unless it is registered again.
    pub(crate) until: Instant,
}

impl Own {
    pub(crate) fn new(version: &str, data: Vec<u8>, ttl: Duration) -> Self {
        let now = Instant::now();
        // For ever, as far as anybody lives to see it.
        let until = now.checked_add(ttl).unwrap_or_else(|| now + Duration::from_secs(1 << 32));
        Self { version: version.to_owned(), data, until }
    }
}

impl Nodes {
    /// Returns the node of a path, to be locked.
    pub(crate) fn node(&self, path: &str) -> Arc<tokio::sync::Mutex<Option<Own>>> {
        Arc::clone(self.lock().entry(path.to_owned()).or_default())
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<(String, Arc<tokio::sync::Mutex<Option<Own>>>)> {
        self.lock().iter().map(|(path, node)| (path.clone(), Arc::clone(node))).collect()
    }

    /// Forgets those that are not kept and that nobody works on, and tells whether none is left.
    pub(crate) fn tidy(&self) -> bool {
        let mut nodes = self.lock();
        nodes.retain(|_, node| Arc::strong_count(node) > 1 || node.try_lock().is_ok_and(|own| own.is_some()));
        nodes.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<tokio::sync::Mutex<Option<Own>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
