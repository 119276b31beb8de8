//! The contract, case by case: clients of one folder.

use std::sync::Arc;

use micro_conformance::registry::Fixture;
use micro_core::registry::Registry;
use micro_registry_embedded::Embedded;
use tempfile::TempDir;

#[derive(Debug)]
struct Folders {
    one: TempDir,
    other: TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { one: tempfile::tempdir().unwrap(), other: tempfile::tempdir().unwrap() }
    }
}

impl Fixture for Folders {
    fn name(&self) -> &'static str {
        "registry-embedded"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(Embedded::at(self.one.path()))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Arc::new(Embedded::at(self.other.path()))
    }
}

micro_conformance::registry_cases!(Folders::new());
