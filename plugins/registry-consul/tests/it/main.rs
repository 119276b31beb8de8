//! What the Consul registry promises, shown with a real Consul.

mod conformance;
mod failure;
mod foreign;
mod plain;
mod tls;
mod tokens;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use micro_core::Result;
use micro_core::address::Address;
use micro_core::registry::{Change, Node, Registry, RegistryOptions, Service, Watch};
use micro_registry_consul::Consul;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn registry(address: &str) -> Arc<dyn Registry> {
    let options = RegistryOptions::new().address(Address::parse(address).unwrap());
    Arc::new(Consul::with_options(&options).unwrap())
}

fn greeter(number: u16) -> Service {
    Service::new("greeter", "1").node(Node::new(format!("greeter-{number}"), format!("127.0.0.1:{}", 20_000 + number)))
}

async fn next(watch: &mut Box<dyn Watch>) -> Result<Change> {
    timeout(LIMIT, watch.next()).await.expect("a change in time")
}

/// Waits until these are the records of the greeter.
async fn finds(registry: &Arc<dyn Registry>, expected: &[Service]) {
    let until = Instant::now() + LIMIT;
    loop {
        let found = registry.get("greeter").await;
        if found.as_ref().is_ok_and(|found| found == expected) {
            return;
        }
        assert!(Instant::now() < until, "there is {found:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
