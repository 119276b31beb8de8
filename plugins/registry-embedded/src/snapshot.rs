use std::collections::BTreeMap;

use micro_core::registry::{Change, Service, grouped};
use micro_engine::Process;
use rusqlite::Connection;

use crate::tables;

/// Everything that is registered: by service and node, the record as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<(String, String), String>);

impl Snapshot {
    /// Reads one service, or all.
    pub(crate) fn read(connection: &Connection, process: &Process, service: Option<&str>) -> rusqlite::Result<Self> {
        let mut nodes = BTreeMap::new();
        tables::each(connection, process, service, |service, id, record, lives| {
            if lives {
                nodes.insert((service.to_owned(), id.to_owned()), record.to_owned());
            }
        })?;
        Ok(Self(nodes))
    }

    /// Returns the names of the services, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().map(|(service, _)| service.clone()).collect();
        names.dedup();
        names
    }

    /// Returns the records, one a service and version.
    pub(crate) fn services(&self, service: Option<&str>) -> Vec<Service> {
        gather(self.of(service).map(|(_, record)| record))
    }

    /// Says what turns this one into a later one.
    pub(crate) fn changes(&self, later: &Self, service: Option<&str>) -> Vec<Change> {
        let mut changes = Vec::new();
        let gone = self.of(service).filter(|(node, _)| !later.0.contains_key(*node)).map(|(_, record)| record);
        changes.extend(gather(gone).into_iter().map(Change::Delete));
        let (new, other): (Vec<_>, Vec<_>) = later
            .of(service)
            .filter(|(node, record)| self.0.get(*node) != Some(record))
            .partition(|(node, _)| !self.0.contains_key(*node));
        changes.extend(gather(new.into_iter().map(|(_, record)| record)).into_iter().map(Change::Create));
        changes.extend(gather(other.into_iter().map(|(_, record)| record)).into_iter().map(Change::Update));
        changes
    }

    fn of<'a>(&'a self, service: Option<&'a str>) -> impl Iterator<Item = (&'a (String, String), &'a String)> {
        self.0.iter().filter(move |((name, _), _)| service.is_none_or(|service| service == name))
    }
}

/// Puts the nodes of one version of a service together. What cannot be read was written by no program of ours.
fn gather<'a>(records: impl Iterator<Item = &'a String>) -> Vec<Service> {
    let read = records.filter_map(|record| {
        let read = serde_json::from_str::<Service>(record);
        read.inspect_err(
            |error| tracing::warn!(%error, "a record of the embedded registry cannot be read; it is left out"),
        )
        .ok()
    });
    grouped(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_core::registry::Node;

    fn snapshot(nodes: &[(&str, &str, &str)]) -> Snapshot {
        let rows = nodes.iter().map(|(service, id, address)| {
            let record = Service::new(*service, "latest").node(Node::new(*id, *address));
            (((*service).to_owned(), (*id).to_owned()), serde_json::to_string(&record).unwrap())
        });
        Snapshot(rows.collect())
    }

    #[test]
    fn the_nodes_of_a_version_are_one_record() {
        let services = snapshot(&[("a", "1", "x:1"), ("a", "2", "x:2"), ("b", "3", "x:3")]).services(None);
        assert_eq!(services.iter().map(|service| service.nodes.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn the_changes_name_only_the_nodes_that_changed() {
        let before = snapshot(&[("a", "1", "x:1"), ("a", "2", "x:2"), ("b", "3", "x:3")]);
        let after = snapshot(&[("a", "1", "x:1"), ("a", "2", "x:9"), ("a", "4", "x:4")]);
        let changes = before.changes(&after, None);
        let shown: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Create(service) => ("create", service.nodes[0].id.as_str(), service.nodes.len()),
                Change::Update(service) => ("update", service.nodes[0].id.as_str(), service.nodes.len()),
                Change::Delete(service) => ("delete", service.nodes[0].id.as_str(), service.nodes.len()),
                _ => ("other", "", 0),
            })
            .collect();
        assert_eq!(shown, [("delete", "3", 1), ("create", "4", 1), ("update", "2", 1)]);
        assert!(before.changes(&after, Some("c")).is_empty());
    }
}
