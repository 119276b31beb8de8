use std::sync::Arc;

use super::{Case, Fixture, Stage, cases, fault_cases};
use crate::report::Outcome;
use crate::runner;

/// What the names of those begin with in the report that run the fault cases alone.
const FAULTS: &str = "faults-";

/// Runs a case on a runtime of its own, and writes its outcome.
///
/// # Panics
///
/// If the rule is broken, with what broke it; and if the name is that of no case.
pub fn run(name: &str, fixture: impl Fixture) {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    Case::run(name, cases(), fixture.name(), |case| check(case, &fixture));
}

/// Runs a case that needs a server which can be killed, as [`run`]; in the report the fixture's name begins with `faults-`.
///
/// # Panics
///
/// As [`run`].
pub fn run_fault_case(name: &str, fixture: impl Fixture) {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    Case::run(name, fault_cases(), &format!("{FAULTS}{}", fixture.name()), |case| check(case, &fixture));
}

/// Runs all of these in turn, in one test: for a fixture whose cases share one server, because it is dear to start.
///
/// # Panics
///
/// If a rule is broken, after all of them have run, with what broke each.
pub fn run_fault_cases(fixture: impl Fixture) {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    Case::run_all(fault_cases(), &format!("{FAULTS}{}", fixture.name()), |case| check(case, &fixture));
}

/// Runs a case and returns its outcome.
#[must_use]
pub fn check(case: &Case, fixture: &Arc<dyn Fixture>) -> Outcome {
    let stage = Stage::new(Arc::clone(fixture), case.id);
    runner::outcome(async {
        let capability = stage.capability();
        let missing = case.needs.iter().copied().find(|need| !need.is_met(&capability, &**fixture));
        match missing {
            Some(need) => need.refused(&stage).await.map(|()| Outcome::Gated(need.name())),
            None => (case.body)(stage.clone()).await.map(|()| Outcome::Run),
        }
    })
}
