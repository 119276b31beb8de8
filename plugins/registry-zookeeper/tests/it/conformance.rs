//! The contract, case by case: clients of one server, in a domain of the case's own.

use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{OneServer, Plugin, other_address, stay_registered};
use micro_faults::ZooKeeper as Server;

use crate::client::registry;

const PLUGIN: Plugin = Plugin {
    name: "registry-zookeeper",
    scheme: "zookeeper",
    client: |address| Arc::new(registry(address)),
    // A session of 2 s of a server with ticks of 500 ms.
    ttl: Duration::from_secs(2),
};

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(registry(&other_address())));
}

micro_conformance::registry_cases!(OneServer::<Server>::start(PLUGIN));
