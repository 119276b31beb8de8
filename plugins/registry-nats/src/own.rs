use std::collections::HashMap;
use std::time::Duration;

use micro_core::registry::Service;
use tokio::time::Instant;

use crate::message::key;

/// The nodes that this client registered: it answers for them itself.
#[derive(Debug, Default)]
pub(crate) struct Own(HashMap<String, Held>);

#[derive(Debug)]
struct Held {
    /// With this node only.
    record: Service,
    /// When the server had told everybody; until then nobody else can have registered it later.
    told: Option<Instant>,
    until: Instant,
}

impl Own {
    /// Takes a node, and returns what it was before and when it is over.
    pub(crate) fn put(&mut self, record: Service, ttl: Duration) -> (Option<Service>, Instant) {
        let until = end(ttl);
        let held = Held { told: None, until, record };
        let before = self.0.insert(key_of(&held.record), held);
        (before.map(|held| held.record), until)
    }

    /// Takes away a node, if it is in this version.
    pub(crate) fn remove(&mut self, key: &str, version: &str) {
        if self.0.get(key).is_some_and(|held| held.record.version == version) {
            self.0.remove(key);
        }
    }

    /// Notes that everybody was told of a node.
    pub(crate) fn told(&mut self, key: &str, now: Instant) {
        if let Some(held) = self.0.get_mut(key) {
            held.told = Some(now);
        }
    }

    /// Forgets a node of which everybody had been told by then: another has registered it since, and answers for it.
    pub(crate) fn superseded(&mut self, key: &str, then: Instant) {
        if self.0.get(key).is_some_and(|held| held.told.is_some_and(|told| told < then)) {
            self.0.remove(key);
        }
    }

    /// Takes away the nodes whose time to live is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Service> {
        self.0.extract_if(|_, held| held.until <= now).map(|(_, held)| held.record).collect()
    }

    /// Takes all nodes away.
    pub(crate) fn clear(&mut self) -> Vec<Service> {
        std::mem::take(&mut self.0).into_values().map(|held| held.record).collect()
    }

    /// Returns what there is of a service, or of all, and for how long.
    pub(crate) fn records(&self, service: Option<&str>, now: Instant) -> Vec<(Service, Duration)> {
        let all = self.0.values().filter(|held| service.is_none_or(|name| held.record.name == name));
        let left = all.map(|held| (held.record.clone(), held.until.saturating_duration_since(now)));
        left.filter(|(_, left)| !left.is_zero()).collect()
    }

    /// Returns what there is of a node, and for how long.
    pub(crate) fn record(&self, key: &str) -> Option<(Service, Duration)> {
        let held = self.0.get(key)?;
        let left = held.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (held.record.clone(), left))
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|held| held.until).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The key of a record with one node.
pub(crate) fn key_of(record: &Service) -> String {
    key(&record.name, record.nodes.first().map_or("", |node| &node.id))
}

/// The end of a time to live; of one that is longer than any, in a year.
pub(crate) fn end(ttl: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    Instant::now() + ttl.min(YEAR)
}

#[cfg(test)]
mod tests {
    use micro_core::registry::Node;

    use super::*;

    #[test]
    fn a_node_that_another_registered_later_is_forgotten_and_not_one_that_it_registered_before() {
        let (mut own, ttl) = (Own::default(), Duration::from_secs(9));
        let record = Service::new("s", "1").node(Node::new("a", "h:1"));
        let key = key_of(&record);
        own.put(record.clone(), ttl);
        own.superseded(&key, Instant::now());
        assert!(own.record(&key).is_some(), "what the other said was said before");
        let now = Instant::now();
        own.told(&key, now);
        own.superseded(&key, now);
        assert!(own.record(&key).is_some(), "what was asked before is older");
        own.superseded(&key, now + Duration::from_millis(1));
        assert!(own.is_empty());
    }
}
