//! The memory plugin, the executable specification.

use std::sync::Arc;

use micro_conformance::broker::Fixture;
use micro_core::broker::{Broker, Memory};

#[derive(Debug)]
struct InMemory;

impl Fixture for InMemory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn client(&self) -> Arc<dyn Broker> {
        Arc::new(Memory::shared("conformance"))
    }
}

micro_conformance::broker_cases!(InMemory);
