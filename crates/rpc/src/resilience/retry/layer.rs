use std::future::poll_fn;

use micro_core::{Error, Kind};
use tower_layer::Layer;
use tower_service::Service;

use super::{Backoff, Budget, can_help, is_worth_it};
use crate::resilience::{Answering, Guard, Guarded, Repeatable};

/// Repeats requests that are idempotent, or refused before they ran ([`Kind::Refused`]).
#[derive(Debug, Clone)]
pub struct RetryLayer {
    retries: u32,
    backoff: Backoff,
    budget: Budget,
}

impl RetryLayer {
    /// Creates a layer of so many further tries.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self { retries, backoff: Backoff::default(), budget: Budget::default() }
    }

    /// Sets the pauses.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the budget.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Guarded<S, RetryLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<S, R> Guard<S, R> for RetryLayer
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Repeatable,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let layer = self.clone();
        Box::pin(async move {
            layer.budget.call();
            let mut tried = 0;
            loop {
                let error = match service.call(request.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let may = match error.kind() {
                    Kind::Refused => is_worth_it(&error),
                    _ => request.is_idempotent() && can_help(&error),
                };
                if tried >= layer.retries || !may || !layer.budget.retry() {
                    return Err(error.with("tries", tried.saturating_add(1)));
                }
                tokio::time::sleep(layer.backoff.pause_after(&error, tried)).await;
                poll_fn(|cx| service.poll_ready(cx)).await?;
                tried += 1;
            }
        })
    }
}
