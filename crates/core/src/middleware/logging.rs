use std::task::{Context as Task, Poll};

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::{Next, Request, Response, Side};
use crate::{Error, Result};

/// Logs one line for each call and each delivery, at `info`, and at `warn` where it failed: what it was, how long it took,
/// how it ended. No metadata and no body is in it.
#[must_use]
pub fn logging() -> Logging {
    Logging(())
}

/// The layer of [`logging`].
#[derive(Debug, Clone, Copy)]
pub struct Logging(());

/// The service of [`logging`].
#[derive(Debug, Clone)]
pub struct LoggingService {
    next: Next,
}

impl Layer<Next> for Logging {
    type Service = LoggingService;

    fn layer(&self, next: Next) -> LoggingService {
        LoggingService { next }
    }
}

impl Service<Request> for LoggingService {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut next = self.next.clone();
        Box::pin(async move {
            let what = match request.side() {
                Side::Server => "handled",
                Side::Client => "called",
                Side::Event => "received",
            };
            let line =
                Line { what, service: request.service().to_owned(), name: request.name().to_owned(), done: false };
            let began = tokio::time::Instant::now();
            let result = next.call(request).await;
            line.end(began.elapsed(), result.as_ref().err());
            result
        })
    }
}

/// The line of one call, which is written even if it is cancelled.
struct Line {
    what: &'static str,
    service: String,
    name: String,
    done: bool,
}

impl Line {
    fn end(mut self, took: std::time::Duration, error: Option<&Error>) {
        self.done = true;
        let Self { what, service, name, .. } = &self;
        match error {
            None => tracing::info!(service, took = ?took, "{what} {name}"),
            Some(error) => tracing::warn!(service, took = ?took, code = error.code(), %error, "{what} {name}"),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.done {
            let how = if std::thread::panicking() { "panicked" } else { "was cancelled" };
            tracing::warn!(service = self.service, "{} {}: it {how}", self.what, self.name);
        }
    }
}
