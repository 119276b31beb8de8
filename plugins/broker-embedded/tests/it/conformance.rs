//! The contract, case by case: clients of one folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use micro_broker_embedded::Embedded;
use micro_conformance::broker::{Counted, Fixture};
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions};
use tempfile::TempDir;

#[derive(Debug)]
struct OneFolder;

fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

impl Fixture for OneFolder {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn client(&self) -> Arc<dyn Broker> {
        let address = Address::parse(&format!("embedded://{}", folder().display())).unwrap();
        Arc::new(Embedded::with_options(BrokerOptions::new().address(address)).unwrap())
    }

    fn counted(&self) -> Option<Arc<dyn Counted>> {
        let folder = tempfile::tempdir().unwrap();
        let client = Arc::new(Embedded::at(folder.path()));
        Some(Arc::new(Alone { folder, client }))
    }
}

/// A folder of its own.
#[derive(Debug)]
struct Alone {
    folder: TempDir,
    client: Arc<Embedded>,
}

impl Counted for Alone {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.client) as Arc<dyn Broker>
    }

    /// A process that subscribes listens for wake-ups.
    fn consumers(&self) -> usize {
        let run = std::fs::read_dir(self.folder.path().join("run/broker")).unwrap();
        run.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "sock")).count()
    }
}

micro_conformance::broker_cases!(OneFolder);
