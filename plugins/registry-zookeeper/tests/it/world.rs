//! Clients and records, and waiting with a limit.

use std::time::Duration;

use micro_core::Error;
use micro_core::address::Address;
use micro_core::registry::{Change, Node, Registry, RegistryOptions, Service, Watch};
use micro_registry_zookeeper::ZooKeeper;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(600);
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn registry(address: &str) -> ZooKeeper {
    ZooKeeper::with_options(&RegistryOptions::new().address(Address::parse(address).unwrap())).unwrap()
}

/// One node of the service greeter.
pub(crate) fn greeter(version: &str, id: &str) -> Service {
    Service::new("greeter", version).node(Node::new(id, "127.0.0.1:37903").with("protocol", "grpc"))
}

/// Begins a watch, and returns it with the first state.
pub(crate) async fn watch(registry: &ZooKeeper, service: Option<&str>) -> (Box<dyn Watch>, Vec<Service>) {
    let mut watch = registry.watch(service).await.unwrap();
    match next(&mut watch).await {
        Change::State(state) => (watch, state),
        other => panic!("a watch begins with {other:?}"),
    }
}

pub(crate) async fn next(watch: &mut Box<dyn Watch>) -> Change {
    timeout(LIMIT, watch.next()).await.expect("a change in time").unwrap()
}

/// Waits for the end of a watch.
pub(crate) async fn end(watch: &mut Box<dyn Watch>) -> Error {
    timeout(LIMIT, watch.next()).await.expect("an end in time").unwrap_err()
}

/// Waits until a client finds these records of greeter.
pub(crate) async fn finds(registry: &ZooKeeper, expected: &[Service]) {
    let until = Instant::now() + LIMIT;
    loop {
        let found = registry.get("greeter").await;
        if found.as_ref().is_ok_and(|found| found == expected) {
            return;
        }
        assert!(Instant::now() < until, "{found:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
