//! Two memory registries as one: what holds for each holds for both together.

use std::sync::Arc;

use micro_conformance::registry::{Fixture, Outage};
use micro_core::registry::{Memory, Multi, Registry};

use crate::away::Away;

#[derive(Debug, Default)]
struct Two(Memory, Memory);

fn together(first: Arc<dyn Registry>, second: Arc<dyn Registry>) -> Arc<dyn Registry> {
    Arc::new(Multi::new(vec![first, second]))
}

impl Fixture for Two {
    fn name(&self) -> &'static str {
        "registry-multi"
    }

    fn client(&self) -> Arc<dyn Registry> {
        together(Arc::new(self.0.clone()), Arc::new(self.1.clone()))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Self::default().client()
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(BothAway::default()))
    }
}

/// Both are away at once. That one of them is, is no outage.
#[derive(Debug, Default)]
struct BothAway(Away, Away);

impl Outage for BothAway {
    fn client(&self) -> Arc<dyn Registry> {
        together(self.0.client(), self.1.client())
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        together(self.0.elsewhere(), self.1.elsewhere())
    }

    fn cut(&self) {
        self.0.cut();
        self.1.cut();
    }

    fn heal(&self) {
        self.0.heal();
        self.1.heal();
    }

    fn restart(&self) {
        self.0.restart();
        self.1.restart();
    }
}

micro_conformance::registry_cases!(Two::default());
