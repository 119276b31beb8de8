use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use super::{Case, Fixture, Stage};
use crate::Failed;
use crate::report::{self, Outcome};

/// No case takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a case on a runtime of its own, and writes its outcome.
///
/// # Panics
///
/// If the rule is broken, with what broke it; and if the name is that of no case.
pub fn run(name: &str, fixture: impl Fixture) {
    let case = Case::find(name).unwrap_or_else(|| panic!("there is no broker case {name}"));
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    let outcome = check(case, &fixture);
    report::write(fixture.name(), case.id, case.rule, &outcome);
    match outcome {
        Outcome::Failed(failed) => panic!("{} {}: {}\nthe rule: {}", fixture.name(), case.id, failed, case.rule),
        outcome => {
            #[expect(clippy::print_stdout, reason = "the runner shows it when asked")]
            {
                println!("{} {}: {outcome}", fixture.name(), case.id);
            }
        }
    }
}

/// Runs a case and returns its outcome.
///
/// # Panics
///
/// If no runtime can be started.
#[must_use]
pub fn check(case: &Case, fixture: &Arc<dyn Fixture>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be started");
    let stage = Stage::new(Arc::clone(fixture), case.id);
    let outcome = runtime.block_on(async {
        let capability = stage.capability();
        let missing = case.needs.iter().copied().find(|need| !need.is_met(&capability, &**fixture));
        let checked = async {
            match missing {
                Some(need) => need.refused(&stage).await.map(|()| Outcome::Gated(need.name())),
                None => (case.body)(stage.clone()).await.map(|()| Outcome::Run),
            }
        };
        match timeout(LIMIT, std::panic::AssertUnwindSafe(checked).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome.unwrap_or_else(Outcome::Failed),
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Outcome::Failed(Failed::new(format!("it panicked: {}", text.unwrap_or_default())))
            }
            Err(_) => Outcome::Failed(Failed::new(format!("it was not done within {LIMIT:?}"))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}
