//! What a program does before and after its service starts and stops.

use std::fmt;
use std::future::Future;

use futures_util::future::BoxFuture;
use micro_core::Result;

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, Result<()>> + Send>;

/// Hooks of one moment, run in the order they were added.
#[derive(Default)]
pub(super) struct Moment(Vec<Hook>);

/// The hooks of a service.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) before_start: Moment,
    pub(super) after_start: Moment,
    pub(super) before_stop: Moment,
    pub(super) after_stop: Moment,
}

impl Moment {
    pub(super) fn add<F, Fut>(&mut self, hook: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.0.push(Box::new(move || Box::pin(hook())));
    }

    /// Runs them up to the first failure.
    pub(super) async fn run(&mut self) -> Result<()> {
        for hook in self.0.drain(..) {
            hook().await?;
        }
        Ok(())
    }

    /// Runs all of them, and returns the first failure.
    pub(super) async fn run_all(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for hook in self.0.drain(..) {
            let done = hook().await;
            outcome = outcome.and(done);
        }
        outcome
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
