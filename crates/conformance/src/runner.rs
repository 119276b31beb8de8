use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::Failed;
use crate::report::{self, Outcome};
use crate::scale::scale;

/// No case takes longer, times the scale.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a case on a runtime of its own. One that panics or hangs failed.
pub(crate) fn outcome(checked: impl Future<Output = Result<Outcome, Failed>>) -> Outcome {
    let limit = LIMIT * u32::try_from(scale()).unwrap_or(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::Failed(Failed::new(format!("no runtime for it: {error}"))),
    };
    let outcome = runtime.block_on(async {
        match timeout(limit, AssertUnwindSafe(checked).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome.unwrap_or_else(Outcome::Failed),
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Outcome::Failed(Failed::new(format!("it panicked: {}", text.unwrap_or_default())))
            }
            Err(_) => Outcome::Failed(Failed::new(format!("it was not done within {limit:?}"))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Writes the outcome of a case, and shows it; where the rule is broken, returns what to fail with.
pub(crate) fn conclude(plugin: &str, id: &str, rule: &str, outcome: Outcome) -> Result<(), String> {
    report::write(plugin, id, rule, &outcome);
    #[expect(clippy::print_stdout, reason = "the runner shows it when asked")]
    {
        println!("{plugin} {id}: {outcome}");
    }
    match outcome {
        Outcome::Failed(failed) => Err(format!("{plugin} {id}: {failed}\nthe rule: {rule}")),
        _ => Ok(()),
    }
}
