use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::{Next, Request, Response};
use crate::{Error, Kind, Result};

/// Ends with [`Kind::Timeout`] what takes longer than this, whatever the caller allows. What it ends is dropped.
///
/// The context's deadline is the earlier of both, so that what a handler calls shares it.
#[must_use]
pub fn timeout(limit: Duration) -> Timeout {
    Timeout(limit)
}

/// The layer of [`timeout`].
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

/// The service of [`timeout`].
#[derive(Debug, Clone)]
pub struct TimeoutService {
    limit: Duration,
    next: Next,
}

impl Layer<Next> for Timeout {
    type Service = TimeoutService;

    fn layer(&self, next: Next) -> TimeoutService {
        TimeoutService { limit: self.0, next }
    }
}

impl Service<Request> for TimeoutService {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (limit, next) = (self.limit, self.next.clone());
        Box::pin(async move {
            let name = request.name().to_owned();
            let context = request.context().to_builder().timeout(limit).build();
            tokio::time::timeout(limit, next.run(context, request)).await.unwrap_or_else(|_| {
                let text = format!("{name} was not done within the {limit:?} that a middleware gives it");
                Err(Error::new(Kind::Timeout, text))
            })
        })
    }
}
