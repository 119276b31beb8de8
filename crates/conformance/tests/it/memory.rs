//! The memory plugin, the executable specification.

use std::sync::Arc;

use micro_conformance::Outcome;
use micro_conformance::broker::{Counted, Fixture, cases, check};
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

    fn counted(&self) -> Option<Arc<dyn Counted>> {
        Some(Arc::new(Alone(Arc::new(Memory::new()))))
    }

    fn simulated(&self) -> bool {
        true
    }
}

/// A world of its own.
#[derive(Debug)]
struct Alone(Arc<Memory>);

impl Counted for Alone {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.0) as Arc<dyn Broker>
    }

    fn consumers(&self) -> usize {
        self.0.subscriptions()
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
