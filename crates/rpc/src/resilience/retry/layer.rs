use std::task::{Context, Poll};

use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::{Backoff, Budget, can_help, is_worth_it};
use crate::resilience::{Answering, Repeatable};

/// Repeats requests that are idempotent, or refused before they ran ([`Kind::Refused`](micro_core::Kind::Refused)).
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
    type Service = RetryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, layer: self.clone() }
    }
}

/// What [`RetryLayer`] makes.
#[derive(Debug, Clone)]
pub struct RetryService<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S, R> Service<R> for RetryService<S>
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Repeatable,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The one that is ready goes first.
        let next = self.inner.clone();
        let (mut inner, layer) = (std::mem::replace(&mut self.inner, next), self.layer.clone());
        Box::pin(async move {
            layer.budget.call();
            for tried in 0.. {
                let error = match inner.call(request.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let not_run = error.kind() == micro_core::Kind::Refused;
                let may = if not_run { is_worth_it(&error) } else { request.is_idempotent() && can_help(&error) };
                if tried >= layer.retries || !may || !layer.budget.retry() {
                    return Err(error.with("tries", tried + 1));
                }
                tokio::time::sleep(layer.backoff.pause_after(&error, tried)).await;
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
            }
            unreachable!("the loop returns")
        })
    }
}
