//! The contract, case by case: clients of one group, and the domain as what keeps them apart.

use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{Fixture, Limits};
use micro_core::registry::Registry;

use super::group::*;

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

    fn limits(&self) -> Limits {
        Limits::default().present(LIMIT)
    }

    /// A new node is announced within a second, for its name is looked for three times first.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

micro_conformance::registry_cases!(Group::new());
