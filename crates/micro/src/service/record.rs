//! The record that a service puts into the registry, as go-micro writes it.

use std::collections::BTreeMap;

use micro_core::registry::{Endpoint, Node, Service as Record};

/// What the record is made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) id: &'a str,
    pub(super) address: String,
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) broker: &'a str,
    pub(super) registry: &'a str,
    /// The advertised endpoints.
    pub(super) endpoints: Vec<Endpoint>,
    /// The topics that are subscribed to.
    pub(super) topics: Vec<String>,
}

/// Makes the record: endpoints by name, then subscriptions by topic, descending, as go-micro orders them.
pub(super) fn record(parts: Parts<'_>) -> Record {
    let mut node = Node::new(parts.id, parts.address);
    for (name, value) in parts.metadata {
        node = node.with(name, value);
    }
    for (name, value) in [
        ("broker", parts.broker),
        ("protocol", "grpc"),
        ("registry", parts.registry),
        ("server", "grpc"),
        ("transport", "grpc"),
    ] {
        node = node.with(name, value);
    }
    let (mut endpoints, mut topics) = (parts.endpoints, parts.topics);
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    topics.sort_by(|a, b| b.cmp(a));
    let subscribers =
        topics.into_iter().map(|topic| Endpoint::new("Func").with("subscriber", "true").with("topic", topic));
    endpoints.into_iter().chain(subscribers).fold(Record::new(parts.name, parts.version), Record::endpoint).node(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    // features: C8
    #[test]
    fn the_record_is_go_micros() {
        let metadata = [("zone".to_owned(), "a".to_owned()), ("protocol".to_owned(), "mine".to_owned())].into();
        let record = record(Parts {
            name: "greeter",
            version: "latest",
            id: "greeter-1",
            address: "127.0.0.1:4100".into(),
            metadata: &metadata,
            broker: "memory",
            registry: "memory",
            endpoints: vec![Endpoint::new("Greeter.Wave"), Endpoint::new("Greeter.Greet")],
            topics: vec!["orders.a".into(), "orders.b".into()],
        });
        let names: Vec<_> = record.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        assert_eq!(names, ["Greeter.Greet", "Greeter.Wave", "Func", "Func"]);
        assert_eq!(record.endpoints[2].metadata["topic"], "orders.b");
        assert_eq!(record.endpoints[2].metadata["subscriber"], "true");
        let labels: Vec<_> = record.nodes[0].metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            labels,
            ["broker=memory", "protocol=grpc", "registry=memory", "server=grpc", "transport=grpc", "zone=a"]
        );
    }
}
