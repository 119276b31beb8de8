//! What the DNS registry promises, shown with Consul's DNS, and with servers that answer badly. It registers nothing, so
//! that the conformance suite cannot be its measure.

mod answers;
mod consul;

use std::sync::Arc;
use std::time::Duration;

use micro_core::Result;
use micro_core::address::Address;
use micro_core::registry::{Change, Registry, RegistryOptions, Watch};
use micro_registry_dns::Dns;
use tokio::time::timeout;

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn registry(address: &str) -> Arc<dyn Registry> {
    let options = RegistryOptions::new().address(Address::parse(address).unwrap());
    Arc::new(Dns::with_options(&options).unwrap())
}

async fn next(watch: &mut Box<dyn Watch>) -> Result<Change> {
    timeout(LIMIT, watch.next()).await.expect("something in time")
}
