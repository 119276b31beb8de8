use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::registry::{Change, Node};
use crate::selector::{Candidate, Candidates};

/// How many nodes that are not as they should be are remembered, so that each is named only once.
const REMEMBERED: usize = 1_024;

/// So many addresses that cannot be called are kept, to be shown.
const SHOWN: usize = 8;

/// The nodes of one service by their ids. A node that comes again, also in another version, replaces itself: the last
/// that is told counts.
#[derive(Debug, Default)]
pub(super) struct Records {
    nodes: BTreeMap<String, Listed>,
    /// The ids of those that a registry forgot, and that have not registered again.
    forgotten: HashSet<String>,
    /// What was named in the log.
    named: HashSet<(String, &'static str)>,
}

#[derive(Debug)]
struct Listed {
    version: String,
    node: Node,
    /// The address before this one.
    before: Option<String>,
}

impl Listed {
    fn is(&self, version: &str, node: &Node) -> bool {
        self.version == version && self.node == *node
    }
}

impl Records {
    /// Takes a change of this service and tells whether it changed anything.
    pub(super) fn apply(&mut self, service: &str, change: Change) -> bool {
        match change {
            Change::State(services) => {
                let mut nodes: BTreeMap<String, (String, Node)> = BTreeMap::new();
                for record in services.into_iter().filter(|record| record.name == service) {
                    for node in record.nodes {
                        let (id, address) = (node.id.clone(), node.address.clone());
                        let other = nodes.insert(id.clone(), (record.version.clone(), node));
                        if let Some((_, other)) = other.filter(|(_, other)| other.address != address) {
                            self.name_twins(service, &id, &other.address, &address);
                        }
                    }
                }
                let before = self.nodes.len();
                self.nodes.retain(|id, _| nodes.contains_key(id) || self.forgotten.contains(id));
                let mut changed = self.nodes.len() < before;
                for (version, node) in nodes.into_values() {
                    changed |= self.put(service, &version, node);
                }
                changed
            }
            Change::Create(record) | Change::Update(record) if record.name == service => {
                let mut changed = false;
                for node in record.nodes {
                    changed |= self.put(service, &record.version, node);
                }
                changed
            }
            Change::Delete(record) if record.name == service => {
                let before = self.nodes.len();
                for node in &record.nodes {
                    // The node may live on in another version.
                    if self.nodes.get(&node.id).is_some_and(|listed| listed.version == record.version) {
                        self.nodes.remove(&node.id);
                        self.forgotten.remove(&node.id);
                    }
                }
                self.nodes.len() < before
            }
            _ => false,
        }
    }

    /// Tells whether the registry has lost everything that was known: not one node is left of some.
    pub(super) fn is_lost_by(&self, service: &str, change: &Change) -> bool {
        let Change::State(services) = change else { return false };
        let mut listed = services.iter().filter(|record| record.name == service);
        !self.nodes.is_empty() && listed.all(|record| record.nodes.is_empty())
    }

    /// Keeps all nodes, until they register again or are [let go](Self::let_go).
    pub(super) fn keep(&mut self) {
        self.forgotten = self.nodes.keys().cloned().collect();
    }

    /// Removes those that were kept and did not register again, and returns how many they were.
    pub(super) fn let_go(&mut self) -> usize {
        let forgotten = std::mem::take(&mut self.forgotten);
        self.nodes.retain(|id, _| !forgotten.contains(id));
        forgotten.len()
    }

    fn put(&mut self, service: &str, version: &str, node: Node) -> bool {
        self.forgotten.remove(&node.id);
        let known = self.nodes.get(&node.id);
        if known.is_some_and(|known| known.is(version, &node)) {
            return false;
        }
        let before = match known {
            Some(known) if known.node.address == node.address => known.before.clone(),
            Some(known) => Some(known.node.address.clone()),
            None => None,
        };
        // One that moves does not come back to where it was: there are two.
        let back = known.filter(|known| known.before.as_ref() == Some(&node.address)).map(|known| &known.node.address);
        if let Some(other) = back.filter(|other| **other != node.address).cloned() {
            self.name_twins(service, &node.id, &other, &node.address);
        }
        self.nodes.insert(node.id.clone(), Listed { version: version.to_owned(), node, before });
        true
    }

    fn name_twins(&mut self, service: &str, node: &str, other: &str, address: &str) {
        if self.is_first(node, "twins") {
            tracing::warn!(
                service,
                node,
                other,
                address,
                "two nodes have one id; the last counts. Give each an id of its own"
            );
        }
    }

    /// Tells whether this was not said of a node yet.
    fn is_first(&mut self, node: &str, what: &'static str) -> bool {
        if self.named.len() >= REMEMBERED {
            self.named.clear();
        }
        self.named.insert((node.to_owned(), what))
    }

    /// Returns the addresses that cannot be called, some of them.
    pub(super) fn unusable(&mut self, service: &str) -> Arc<[String]> {
        let unusable = self.nodes.values().filter(|listed| listed.node.host_port().is_none());
        let unusable: Vec<Node> = unusable.map(|listed| listed.node.clone()).collect();
        for node in &unusable {
            if self.is_first(&node.id, "address") {
                tracing::warn!(service, node = %node.id, address = %node.address, "a node's address is no host:port; left out");
            }
        }
        unusable.into_iter().map(|node| node.address).take(SHOWN).collect()
    }

    /// Returns the nodes that can be called; those that did not change as the `Arc`s they were, and what is known of one
    /// that changed its labels or version stays with it.
    pub(super) fn candidates(&self, service: &Arc<str>, before: &[Arc<Candidate>]) -> Arc<Candidates> {
        let mut versions: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        let mut candidates = Vec::with_capacity(self.nodes.len());
        for Listed { version, node, .. } in self.nodes.values().filter(|listed| listed.node.host_port().is_some()) {
            // Both are in the order of their ids.
            let old = before.binary_search_by(|old| old.node.id.cmp(&node.id)).ok().map(|place| &before[place]);
            if let Some(old) = old.filter(|old| old.node == *node && *old.version == **version) {
                candidates.push(Arc::clone(old));
                continue;
            }
            let version = versions.entry(version).or_insert_with(|| version.as_str().into());
            candidates.push(Arc::new(match old.filter(|old| old.node.address == node.address) {
                Some(old) => old.renewed(Arc::clone(version), node.clone()),
                None => Candidate::new(Arc::clone(service), Arc::clone(version), node.clone()),
            }));
        }
        Arc::new(Candidates::new(candidates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Service;
    use crate::selector::{InFlight, Random};

    fn record(version: &str, id: &str, address: &str) -> Service {
        Service::new("s", version).node(Node::new(id, address))
    }

    fn addresses(records: &Records) -> Vec<String> {
        records.candidates(&"s".into(), &[]).iter().map(|c| c.node.address.clone()).collect()
    }

    #[test]
    fn of_two_nodes_with_one_id_the_later_counts() {
        let mut records = Records::default();
        records.apply("s", Change::State(vec![record("1", "a", "h:1"), record("1", "a", "h:2")]));
        assert_eq!(addresses(&records), ["h:2"]);
        records.apply("s", Change::Create(record("2", "a", "h:3")));
        assert_eq!(addresses(&records), ["h:3"]);
        assert!(!records.apply("s", Change::Delete(record("1", "a", "h:2"))), "it lives on in version 2");
        assert!(records.apply("s", Change::Delete(record("2", "a", ""))));
    }

    #[test]
    fn two_programs_with_one_id_are_named_once_and_one_that_moves_is_not() {
        let mut records = Records::default();
        for address in ["h:1", "h:2", "h:3"] {
            assert!(records.apply("s", Change::Update(record("1", "moves", address))));
        }
        assert!(records.named.is_empty(), "{:?}", records.named);
        for address in ["h:1", "h:2", "h:1", "h:2", "h:1"] {
            assert!(records.apply("s", Change::Update(record("1", "twin", address))));
        }
        let twins = Change::State(vec![record("1", "a", "h:1"), record("2", "a", "h:2")]);
        for told in [true, false, false] {
            assert_eq!(records.apply("s", twins.clone()), told, "the same state changes nothing");
            assert_eq!(addresses(&records), ["h:2"]);
        }
        let named: Vec<_> = records.named.iter().map(|(id, _)| id.as_str()).collect();
        assert!(named.len() == 2 && named.contains(&"twin") && named.contains(&"a"), "{named:?}");
    }

    #[test]
    fn a_node_without_a_port_is_left_out() {
        let mut records = Records::default();
        records.apply("s", Change::State(vec![record("1", "a", "nonsense"), record("1", "b", "[::1]:80")]));
        assert_eq!(addresses(&records), ["[::1]:80"]);
        for _ in 0..2 {
            assert_eq!(*records.unusable("s"), ["nonsense".to_owned()]);
            assert_eq!(records.named.len(), 1);
        }
    }

    #[test]
    fn what_did_not_change_stays_the_same_arc() {
        let mut records = Records::default();
        records.apply("s", Change::State(vec![record("1", "a", "h:1")]));
        let before = records.candidates(&"s".into(), &[]);
        assert!(!records.apply("s", Change::Update(record("1", "a", "h:1"))));
        records.apply("s", Change::Create(record("1", "b", "h:2")));
        let after = records.candidates(&"s".into(), &before);
        assert!(Arc::ptr_eq(&before[0], &after[0]) && after.len() == 2);
    }

    #[test]
    fn what_is_known_of_a_node_stays_when_its_labels_change_and_goes_when_it_moves() {
        let mut records = Records::default();
        records.apply("s", Change::State(vec![record("1", "a", "h:1")]));
        let before = records.candidates(&"s".into(), &[]);
        let call = InFlight::new(Arc::new(Random), Arc::clone(&before[0]));
        let labelled = Service::new("s", "1").node(Node::new("a", "h:1").with("weight", "3"));
        records.apply("s", Change::Update(labelled));
        let after = records.candidates(&"s".into(), &before);
        assert_eq!((after[0].in_flight(), after[0].weight()), (1, 3.0));
        records.apply("s", Change::Update(record("1", "a", "h:2")));
        let moved = records.candidates(&"s".into(), &after);
        assert_eq!(moved[0].in_flight(), 0);
        drop(call);
        assert_eq!(after[0].in_flight(), 0);
    }
}
