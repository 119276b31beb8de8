use std::sync::Arc;

use super::{Case, Fixture, Stage, cases};
use crate::report::Outcome;
use crate::runner;

/// Runs a case on a runtime of its own, and writes its outcome.
///
/// # Panics
///
/// If the rule is broken, with what broke it; and if the name is that of no case.
pub fn run(name: &str, fixture: impl Fixture) {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    Case::run(name, cases(), fixture.name(), |case| check(case, &fixture));
}

/// Runs a case and returns its outcome.
#[must_use]
pub fn check(case: &Case, fixture: &Arc<dyn Fixture>) -> Outcome {
    let stage = Stage::new(Arc::clone(fixture));
    let capability = fixture.capability();
    runner::outcome(async {
        let missing = case.needs.iter().copied().find(|need| !need.is_met(capability));
        match missing {
            Some(need) => need.refused(&stage).await.map(|()| Outcome::Gated(need.name())),
            None => (case.body)(stage.clone()).await.map(|()| Outcome::Run),
        }
    })
}
