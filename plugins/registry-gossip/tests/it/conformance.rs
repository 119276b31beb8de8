//! The contract, case by case: each client a member of its own, joined by one seed.

use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{Child, Fixture, Outage, Process, stay_registered};
use micro_core::registry::Registry;
use micro_registry_gossip::Gossip;

use crate::cluster::{address, first, joining, registry};
use crate::network::Network;

/// Which seed the other process joins.
const SEED: &str = "MICRO_TEST_CONFORMANCE_GOSSIP";

#[derive(Debug)]
struct Seeds {
    one: Gossip,
    other: Gossip,
}

impl Seeds {
    fn new() -> Self {
        Self { one: first("one"), other: first("other") }
    }
}

impl Fixture for Seeds {
    fn name(&self) -> &'static str {
        "registry-gossip"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(joining(&address(&self.one), "one"))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Arc::new(joining(&address(&self.other), "other"))
    }

    /// No machine of ours has this address. There are no accounts and so no password: one is refused.
    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        Some(Arc::new(registry("gossip://?listen=192.0.2.1:7946")))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Child::new("conformance::other_process", [(SEED, address(&self.one))])))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(Network::new()))
    }

    /// Above the silence by which a killed process is noticed.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(joining(&std::env::var(SEED).unwrap(), "one")));
}

micro_conformance::registry_cases!(Seeds::new());
