use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use futures_util::future::BoxFuture;
use tower_service::Service;

use super::{Request, Response};
use crate::{Context, Error, Kind, Result};

/// What stands behind a middleware: the next one, and at last the handler or the call itself. A cheap clone.
#[derive(Clone)]
pub struct Next(Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Response>> + Send + Sync>);

impl Next {
    /// What is behind the last middleware.
    pub(super) fn end() -> Self {
        Self(Arc::new(|request| request.rest()(request)))
    }

    /// What goes on with a service.
    pub(super) fn service<S>(service: S) -> Self
    where
        S: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        S::Future: Send + 'static,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                poll_fn(|task| service.poll_ready(task)).await.map_err(ours)?;
                service.call(request).await.map_err(ours)
            })
        }))
    }

    /// Goes on, under this context: the one that came, or one [made of it](Context::to_builder). Dropped, what it
    /// stands for is cancelled.
    ///
    /// # Errors
    ///
    /// What the handler returned, or why the call failed.
    pub async fn run(&self, context: Context, request: Request) -> Result<Response> {
        (self.0)(request.with_context(context)).await
    }
}

/// Finds our error in what a foreign layer may have put round it.
fn ours(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    match error.into().downcast::<Error>() {
        Ok(ours) => *ours,
        Err(foreign) => Error::new(Kind::Internal, "a middleware ended the call").source(foreign),
    }
}

impl Service<Request> for Next {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        (self.0)(request)
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}
