//! The memory plugin, the executable specification.

use std::sync::Arc;

use micro_conformance::Outcome;
use micro_conformance::broker::{Fixture, cases, check};
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

    fn simulated(&self) -> bool {
        true
    }
}

micro_conformance::broker_cases!(InMemory);

/// All cases at once, as a program would run them; `MICRO_CASE=B21` chooses one.
#[test]
fn memory_passes_every_case() {
    let fixture: Arc<dyn Fixture> = Arc::new(InMemory);
    let only = std::env::var("MICRO_CASE").ok();
    let mut failed = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = cases()
            .filter(|case| only.as_ref().is_none_or(|only| case.id == only))
            .map(|case| (case, scope.spawn(|| check(case, &fixture))))
            .collect();
        for (case, run) in runs {
            let outcome = run.join().unwrap();
            if outcome != Outcome::Run && outcome != Outcome::Gated(case.needs.first().map_or("", |need| need.name())) {
                failed.push(format!("{} {}: {outcome}", case.id, case.name));
            }
        }
    });
    assert!(failed.is_empty(), "{failed:#?}");
}
