//! The memory registry, the executable specification.

use std::sync::Arc;

use micro_conformance::registry::{Fixture, Outage};
use micro_core::registry::{Memory, Registry};

use crate::away::Away;

#[derive(Debug, Default)]
struct InMemory(Memory);

impl Fixture for InMemory {
    fn name(&self) -> &'static str {
        "registry-memory"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.0.clone())
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Arc::new(Memory::new())
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(Away::default()))
    }
}

micro_conformance::registry_cases!(InMemory::default());
