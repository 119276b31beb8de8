use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::{Next, Request, Response};
use crate::{Context, Error, Result};

/// Makes a middleware of a function: `async fn(Context, Request, Next) -> Result<Response>`.
///
/// # Examples
///
/// ```
/// use micro_core::Context;
/// use micro_core::middleware::{Next, Request, from_fn};
///
/// let signed = from_fn(|context: Context, mut request: Request, next: Next| async move {
///     request.metadata_mut().set("signed-by", "me");
///     next.run(context, request).await
/// });
/// # let _ = signed;
/// ```
pub fn from_fn<F, Fut>(function: F) -> FromFn<F>
where
    F: Fn(Context, Request, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response>> + Send + 'static,
{
    FromFn(Arc::new(function))
}

/// The layer of [`from_fn`].
pub struct FromFn<F>(Arc<F>);

/// The service of [`from_fn`].
pub struct FromFnService<F> {
    function: Arc<F>,
    next: Next,
}

impl<F> Clone for FromFn<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> Clone for FromFnService<F> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), next: self.next.clone() }
    }
}

impl<F> Layer<Next> for FromFn<F> {
    type Service = FromFnService<F>;

    fn layer(&self, next: Next) -> FromFnService<F> {
        FromFnService { function: self.0.clone(), next }
    }
}

impl<F, Fut> Service<Request> for FromFnService<F>
where
    F: Fn(Context, Request, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response>> + Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin((self.function)(request.context().clone(), request, self.next.clone()))
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F> fmt::Debug for FromFnService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFnService")
    }
}
