//! The contract, case by case: clients of one group, and the domain as what keeps them apart.

use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{Child, Fixture, Limits, Outage, Process, stay_registered};
use micro_core::address::Address;
use micro_core::registry::{Registry, RegistryOptions};
use micro_registry_mdns::Mdns;

use super::bridge::Networks;
use super::group::*;

/// Which group the other process joins.
const GROUP: &str = "MICRO_TEST_CONFORMANCE_GROUP";

impl Fixture for Group {
    fn name(&self) -> &'static str {
        "registry-mdns"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.registry())
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Arc::new(self.with("&domain=apart"))
    }

    /// There is no such interface. The account means nothing to this plugin, and may still be given.
    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        let address = Address::parse("mdns://user:secret@239.1.2.3:50123?interface=nosuch0").unwrap();
        Some(Arc::new(Mdns::with_options(&RegistryOptions::new().address(address)).unwrap()))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Child::new("conformance::other_process", [(GROUP, self.address.to_string())])))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(Networks::new()))
    }

    fn limits(&self) -> Limits {
        Limits::default().present(LIMIT)
    }

    /// A new node is announced within a second, for its name is looked for three times first.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(Group { address: std::env::var(GROUP).unwrap().parse().unwrap() }.registry()));
}

micro_conformance::registry_cases!(Group::new());
