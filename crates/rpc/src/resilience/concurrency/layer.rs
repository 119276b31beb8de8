use std::task::{Context, Poll};

use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Concurrency;
use crate::resilience::Answering;

/// Has requests wait for a place of a [`Concurrency`].
#[derive(Debug, Clone)]
pub struct ConcurrencyLayer(Concurrency);

impl ConcurrencyLayer {
    /// Creates a layer of a limit, which others may share.
    #[must_use]
    pub fn new(limit: Concurrency) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = ConcurrencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyService { inner, limit: self.0.clone() }
    }
}

/// What [`ConcurrencyLayer`] makes.
#[derive(Debug, Clone)]
pub struct ConcurrencyService<S> {
    inner: S,
    limit: Concurrency,
}

impl<S, R> Service<R> for ConcurrencyService<S>
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let next = self.inner.clone();
        let (mut inner, limit) = (std::mem::replace(&mut self.inner, next), self.limit.clone());
        Box::pin(async move {
            let _place = limit.enter().await?;
            inner.call(request).await
        })
    }
}
