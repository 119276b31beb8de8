//! The kit's broker keeps what every broker keeps: what is noted of it changes nothing.

use std::sync::{Arc, OnceLock};

use micro::broker::Broker;
use micro_conformance::Outcome;
use micro_conformance::broker::{Fixture, cases, check};
use micro_testkit::TestKit;
use tokio::runtime::Runtime;

#[derive(Debug)]
struct InKit;

impl Fixture for InKit {
    fn name(&self) -> &'static str {
        "testkit"
    }

    fn client(&self) -> Arc<dyn Broker> {
        static KIT: OnceLock<(Runtime, TestKit)> = OnceLock::new();
        let (runtime, kit) = KIT.get_or_init(|| {
            let runtime = Runtime::new().unwrap();
            let kit = {
                let _there = runtime.enter();
                TestKit::new()
            };
            (runtime, kit)
        });
        let _there = runtime.enter();
        kit.builder("case").build().unwrap().broker()
    }
}

#[test]
fn the_kits_broker_passes_every_case_of_the_conformance_suite() {
    let fixture: Arc<dyn Fixture> = Arc::new(InKit);
    let mut failed = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = cases().map(|case| (case, scope.spawn(|| check(case, &fixture)))).collect();
        assert!(runs.len() > 50);
        for (case, run) in runs {
            let outcome = run.join().unwrap();
            // As of memory itself: what needs a server, or a capability that memory lacks, is refused.
            if outcome != Outcome::Run && outcome != Outcome::Gated(case.needs.first().map_or("", |need| need.name())) {
                failed.push(format!("{} {}: {outcome}", case.id, case.name));
            }
        }
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
