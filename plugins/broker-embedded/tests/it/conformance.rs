//! The contract, case by case: clients of one folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use micro_broker_embedded::Embedded;
use micro_conformance::broker::Fixture;
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
}

micro_conformance::broker_cases!(OneFolder);
