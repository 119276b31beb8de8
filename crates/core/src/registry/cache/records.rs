use std::collections::BTreeMap;
use std::sync::Arc;

use crate::registry::{Change, Node, Service};
use crate::selector::{Candidate, Candidates};

/// The nodes of one service by their ids. A node that comes again, also in another version, replaces itself.
#[derive(Debug, Default)]
pub(super) struct Records {
    nodes: BTreeMap<String, (String, Node)>,
}

impl Records {
    /// Takes a change of this service and tells whether it changed anything.
    pub(super) fn apply(&mut self, service: &str, change: Change) -> bool {
        match change {
            Change::State(services) => {
                let mut nodes = BTreeMap::new();
                for record in services.into_iter().filter(|record| record.name == service) {
                    for node in record.nodes {
                        nodes.insert(node.id.clone(), (record.version.clone(), node));
                    }
                }
                let changed = nodes != self.nodes;
                self.nodes = nodes;
                changed
            }
            Change::Create(record) | Change::Update(record) if record.name == service => self.put(record),
            Change::Delete(record) if record.name == service => {
                let before = self.nodes.len();
                for node in &record.nodes {
                    // The node may live on in another version.
                    if self.nodes.get(&node.id).is_some_and(|(version, _)| *version == record.version) {
                        self.nodes.remove(&node.id);
                    }
                }
                self.nodes.len() < before
            }
            _ => false,
        }
    }

    fn put(&mut self, record: Service) -> bool {
        let mut changed = false;
        for node in record.nodes {
            let entry = (record.version.clone(), node);
            if self.nodes.get(&entry.1.id) != Some(&entry) {
                self.nodes.insert(entry.1.id.clone(), entry);
                changed = true;
            }
        }
        changed
    }

    /// Returns the nodes that can be called; those that did not change as the `Arc`s they were, and what is known of one
    /// that changed its labels or version stays with it.
    pub(super) fn candidates(&self, service: &Arc<str>, before: &[Arc<Candidate>]) -> Arc<Candidates> {
        let mut versions: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        let mut candidates = Vec::with_capacity(self.nodes.len());
        for (version, node) in self.nodes.values() {
            if node.host_port().is_none() {
                tracing::warn!(%service, node = %node.id, address = %node.address, "a node's address is no host:port; left out");
                continue;
            }
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
    fn a_node_without_a_port_is_left_out() {
        let mut records = Records::default();
        records.apply("s", Change::State(vec![record("1", "a", "nonsense"), record("1", "b", "[::1]:80")]));
        assert_eq!(addresses(&records), ["[::1]:80"]);
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
