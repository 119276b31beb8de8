use std::task::{Context, Poll};

use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Rate;
use crate::resilience::Answering;

/// Has requests wait for their turn of a [`Rate`].
#[derive(Debug, Clone)]
pub struct RateLayer(Rate);

impl RateLayer {
    /// Creates a layer of a rate, which others may share.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(rate)
    }
}

impl<S> Layer<S> for RateLayer {
    type Service = RateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateService { inner, rate: self.0.clone() }
    }
}

/// What [`RateLayer`] makes.
#[derive(Debug, Clone)]
pub struct RateService<S> {
    inner: S,
    rate: Rate,
}

impl<S, R> Service<R> for RateService<S>
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
        let (mut inner, rate) = (std::mem::replace(&mut self.inner, next), self.rate.clone());
        Box::pin(async move {
            rate.enter(None).await?;
            inner.call(request).await
        })
    }
}
