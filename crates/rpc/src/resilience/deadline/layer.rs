use std::task::{Context, Poll};
use std::time::Duration;

use micro_core::{Error, Kind};
use tower_layer::Layer;
use tower_service::Service;

use crate::resilience::Answering;
use crate::wire::status::CLIENT;

/// Ends requests that take longer; put round a [`RetryLayer`](crate::resilience::RetryLayer), it is the limit of all tries.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer(Duration);

impl DeadlineLayer {
    /// Creates a layer of a limit.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, limit: self.0 }
    }
}

/// What [`DeadlineLayer`] makes.
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    limit: Duration,
}

impl<S, R> Service<R> for DeadlineService<S>
where
    S: Service<R, Error = Error, Future: Send + 'static>,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (answer, limit) = (self.inner.call(request), self.limit);
        Box::pin(async move {
            tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
                Err(Error::new(Kind::Timeout, format!("there was no answer within {limit:?}")).id(CLIENT))
            })
        })
    }
}
