use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use super::Service;

/// How many bad records are remembered, so that each is named only once.
const REMEMBERED: usize = 1_024;

/// Leaves out the records that cannot be read: counted in `micro_registry_unreadable_total`, and each named once in the log,
/// however often it is met.
///
/// # Examples
///
/// ```
/// use micro_core::registry::Unreadable;
///
/// let unreadable = Unreadable::new("etcd");
/// assert!(unreadable.read("/micro/registry/greeter/1", br#"{"name":"greeter","nodes":[{"id":"1","address":"h:1"}]}"#).is_some());
/// assert!(unreadable.read("/micro/registry/greeter/2", b"{").is_none());
/// ```
#[derive(Debug)]
pub struct Unreadable {
    registry: &'static str,
    named: Mutex<HashSet<String>>,
}

impl Unreadable {
    /// Creates it for a registry, whose name stands in the log and in the count.
    #[must_use]
    pub fn new(registry: &'static str) -> Self {
        Self { registry, named: Mutex::default() }
    }

    /// Reads a record in go-micro's JSON; `None` if it is none, or has no name, no node, or a node without an id. `key` is
    /// where it was found.
    #[must_use]
    pub fn read(&self, key: &str, json: &[u8]) -> Option<Service> {
        match serde_json::from_slice::<Service>(json) {
            Ok(service) if service.name.is_empty() => self.leave_out(key, &"it has no name"),
            Ok(service) if service.nodes.is_empty() => self.leave_out(key, &"it has no node"),
            Ok(service) if service.nodes.iter().any(|node| node.id.is_empty()) => {
                self.leave_out(key, &"a node of it has no id")
            }
            Ok(service) => {
                self.lock().remove(key);
                Some(service)
            }
            Err(error) => self.leave_out(key, &error),
        }
    }

    /// Counts a record that cannot be read, names it if it was not named yet, and returns `None`.
    pub fn leave_out<T>(&self, key: &str, why: &dyn Display) -> Option<T> {
        let mut named = self.lock();
        if !named.contains(key) {
            if named.len() >= REMEMBERED {
                named.clear();
            }
            named.insert(key.to_owned());
            metrics::counter!("micro_registry_unreadable_total", "registry" => self.registry).increment(1);
            tracing::warn!(registry = self.registry, key, %why, "a record of the registry cannot be read; it is left out");
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_left_out() {
        let unreadable = Unreadable::new("etcd");
        for bad in
            [&b""[..], b"{}", br#"{"name":"s"}"#, br#"{"name":"s","nodes":[{"id":"","address":"h:1"}]}"#, b"\xff"]
        {
            assert_eq!(unreadable.read("k", bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_same_bad_record_is_named_once_and_again_after_it_was_good() {
        let unreadable = Unreadable::new("etcd");
        assert_eq!(unreadable.read("k", b"{"), None);
        assert_eq!(unreadable.read("k", b"{"), None);
        assert_eq!(unreadable.lock().len(), 1);
        assert!(unreadable.read("k", br#"{"name":"s","nodes":[{"id":"a","address":"h:1"}]}"#).is_some());
        assert!(unreadable.lock().is_empty());
    }
}
