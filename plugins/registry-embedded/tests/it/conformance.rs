//! The contract, case by case: clients of one folder.

use std::sync::Arc;

use micro_conformance::registry::{Child, Fixture, Process, stay_registered};
use micro_core::address::Address;
use micro_core::registry::{Registry, RegistryOptions};
use micro_registry_embedded::Embedded;
use tempfile::TempDir;

/// Where the other process finds the records.
const FOLDER: &str = "MICRO_TEST_CONFORMANCE_FOLDER";

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

    /// Nothing can be made below what is no folder. The account means nothing to this plugin, and may still be given.
    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        let address = Address::parse("embedded://user:secret@/dev/null/records").unwrap();
        Some(Arc::new(Embedded::with_options(RegistryOptions::new().address(address)).unwrap()))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        let folder = self.one.path().to_str().unwrap().to_owned();
        Some(Box::new(Child::new("conformance::other_process", [(FOLDER, folder)])))
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(Embedded::at(std::env::var(FOLDER).unwrap())));
}

micro_conformance::registry_cases!(Folders::new());
