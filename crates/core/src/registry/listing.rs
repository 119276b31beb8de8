use std::collections::BTreeMap;

use super::{Change, Service};

/// What a plugin's server lists: under each of its keys a record with one node.
///
/// For plugins whose server keeps a node a key, as go-micro's do: it turns what the server tells into [`Change`]s.
///
/// # Examples
///
/// ```
/// use micro_core::registry::{Change, Listing, Node, Service};
///
/// let mut listing = Listing::new();
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:37903"));
/// assert_eq!(listing.put("greeter/greeter-1", greeter.clone()), [Change::Create(greeter.clone())]);
/// assert_eq!(listing.put("greeter/greeter-1", greeter.clone()), []);
/// assert_eq!(listing.services(), [greeter.clone()]);
/// assert_eq!(listing.remove("greeter/greeter-1"), Some(Change::Delete(greeter)));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<String, Service>);

impl Listing {
    /// Creates an empty listing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the server lists under a key, and returns what changed by it: nothing, if it is what was known.
    pub fn put(&mut self, key: impl Into<String>, record: Service) -> Vec<Change> {
        let key = key.into();
        let changes = match self.0.get(&key) {
            Some(known) if *known == record => return Vec::new(),
            Some(known) if known.name == record.name && known.version == record.version => {
                vec![Change::Update(record.clone())]
            }
            Some(known) => vec![Change::Delete(known.clone()), Change::Create(record.clone())],
            None => vec![Change::Create(record.clone())],
        };
        self.0.insert(key, record);
        changes
    }

    /// Takes away what is under a key, and returns the change, if there was something.
    pub fn remove(&mut self, key: &str) -> Option<Change> {
        self.0.remove(key).map(Change::Delete)
    }

    /// Takes everything that the server lists now, and returns what changed: what is gone first.
    pub fn replace(&mut self, records: impl IntoIterator<Item = (String, Service)>) -> Vec<Change> {
        let later: BTreeMap<_, _> = records.into_iter().collect();
        let gone: Vec<_> = self.0.keys().filter(|key| !later.contains_key(*key)).cloned().collect();
        let mut changes: Vec<_> = gone.iter().filter_map(|key| self.remove(key)).collect();
        for (key, record) in later {
            changes.extend(self.put(key, record));
        }
        changes
    }

    /// As [`replace`](Self::replace), of records with any number of nodes, each a key by service and id.
    pub fn replace_services(&mut self, services: impl IntoIterator<Item = Service>) -> Vec<Change> {
        self.replace(services.into_iter().flat_map(|mut service| {
            let nodes = std::mem::take(&mut service.nodes);
            nodes.into_iter().map(move |node| (format!("{}/{}", service.name, node.id), service.with_only(node)))
        }))
    }

    /// Returns the records, one a service and version, sorted by both.
    #[must_use]
    pub fn services(&self) -> Vec<Service> {
        grouped(self.0.values().cloned())
    }

    /// Returns how many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether it lists nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Puts the nodes of each service and version together into one record, sorted by both; what else a record says is the
/// first one's.
#[must_use]
pub fn grouped(records: impl IntoIterator<Item = Service>) -> Vec<Service> {
    let mut services: BTreeMap<(String, String), Service> = BTreeMap::new();
    for mut record in records {
        match services.get_mut(&(record.name.clone(), record.version.clone())) {
            Some(service) => service.nodes.append(&mut record.nodes),
            None => {
                services.insert((record.name.clone(), record.version.clone()), record);
            }
        }
    }
    services.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Node;

    fn record(version: &str, id: &str, address: &str) -> Service {
        Service::new("s", version).node(Node::new(id, address))
    }

    #[test]
    fn a_node_that_moves_to_another_version_leaves_the_first() {
        let mut listing = Listing::new();
        listing.put("k", record("1", "a", "h:1"));
        let moved = [Change::Delete(record("1", "a", "h:1")), Change::Create(record("2", "a", "h:1"))];
        assert_eq!(listing.put("k", record("2", "a", "h:1")), moved);
    }

    #[test]
    fn a_new_state_is_told_as_what_changed() {
        let mut listing = Listing::new();
        listing.replace([("a".to_owned(), record("1", "a", "h:1")), ("b".to_owned(), record("1", "b", "h:2"))]);
        let changes =
            listing.replace([("b".to_owned(), record("1", "b", "h:9")), ("c".to_owned(), record("1", "c", "h:3"))]);
        let expected = [
            Change::Delete(record("1", "a", "h:1")),
            Change::Update(record("1", "b", "h:9")),
            Change::Create(record("1", "c", "h:3")),
        ];
        assert_eq!(changes, expected);
        assert_eq!(listing.services(), [record("1", "b", "h:9").node(Node::new("c", "h:3"))]);
    }
}
