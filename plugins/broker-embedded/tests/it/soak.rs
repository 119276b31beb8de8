//! Programs on one folder, killed at random moments.

use std::path::Path;
use std::sync::Arc;

use micro_broker_embedded::Embedded;
use micro_conformance::soak::{self, Soak};
use tempfile::TempDir;

#[derive(Debug)]
struct OneFolder(TempDir);

impl soak::Fixture for OneFolder {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn address(&self) -> String {
        self.0.path().display().to_string()
    }
}

// features: D3, E1, E4
#[test]
fn what_is_confirmed_outlives_every_kill() {
    soak::run(&Soak::rounds(50).role("soak::role"), &OneFolder(tempfile::tempdir().unwrap()));
}

/// What a killed program does; nothing when nobody asks for it.
#[test]
fn role() {
    soak::role(|folder| Arc::new(Embedded::at(Path::new(folder))));
}
