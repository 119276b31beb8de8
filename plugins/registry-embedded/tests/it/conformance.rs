//! The contract, case by case: clients of one folder.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use micro_conformance::registry::{Child, Fixture, Outage, Process, stay_registered};
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

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(MovedAway(tempfile::tempdir().unwrap())))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        let folder = self.one.path().to_str().unwrap().to_owned();
        Some(Box::new(Child::new("conformance::other_process", [(FOLDER, folder)])))
    }
}

/// There is no server that could be away. What can be is the folder: moved aside under its users, with something that is
/// no folder in its place, so that none can be made there either.
#[derive(Debug)]
struct MovedAway(TempDir);

impl MovedAway {
    fn place(&self) -> PathBuf {
        self.0.path().join("records")
    }

    fn aside(&self) -> PathBuf {
        self.0.path().join("aside")
    }
}

impl Outage for MovedAway {
    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(Embedded::at(self.place()))
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        Arc::new(Embedded::at(if self.aside().exists() { self.aside() } else { self.place() }))
    }

    fn cut(&self) {
        fs::rename(self.place(), self.aside()).unwrap();
        fs::write(self.place(), "in the way").unwrap();
    }

    fn heal(&self) {
        fs::remove_file(self.place()).unwrap();
        fs::rename(self.aside(), self.place()).unwrap();
    }

    /// The next client makes the folder anew.
    fn restart(&self) {
        fs::remove_dir_all(self.aside()).unwrap();
        fs::remove_file(self.place()).unwrap();
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(Embedded::at(std::env::var(FOLDER).unwrap())));
}

micro_conformance::registry_cases!(Folders::new());
