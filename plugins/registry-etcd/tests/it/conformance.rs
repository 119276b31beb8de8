//! The contract, case by case: clients of one server, in a domain of the case's own.

use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{OneServer, Plugin, other_address, stay_registered};
use micro_faults::Etcd as Server;

use crate::client::registry;

const PLUGIN: Plugin = Plugin {
    name: "registry-etcd",
    scheme: "etcd",
    client: |address| Arc::new(registry(address)),
    // The least that etcd grants with its usual timing.
    ttl: Duration::from_secs(2),
};

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(registry(&other_address())));
}

micro_conformance::registry_cases!(OneServer::<Server>::start(PLUGIN));
