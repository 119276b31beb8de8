use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::{Next, Request, Response};
use crate::{Error, Result};

/// Lets through what the closure says: an error of it is the answer, and nothing runs.
///
/// # Examples
///
/// ```
/// use micro_core::Error;
/// use micro_core::middleware::{Request, allow};
///
/// let known = allow(|request: &Request| match request.metadata().get_str("authorization") {
///     Some("Bearer open-sesame") => Ok(()),
///     Some(_) => Err(Error::forbidden("shop", "this account may not")),
///     None => Err(Error::unauthorized("shop", "send an authorization")),
/// });
/// # let _ = known;
/// ```
pub fn allow(check: impl Fn(&Request) -> Result<()> + Send + Sync + 'static) -> Allow {
    Allow { check: Arc::new(check) }
}

type Check = dyn Fn(&Request) -> Result<()> + Send + Sync;

/// The layer of [`allow`].
#[derive(Clone)]
pub struct Allow {
    check: Arc<Check>,
}

/// The service of [`allow`].
#[derive(Clone)]
pub struct AllowService {
    allow: Allow,
    next: Next,
}

impl Layer<Next> for Allow {
    type Service = AllowService;

    fn layer(&self, next: Next) -> AllowService {
        AllowService { allow: self.clone(), next }
    }
}

impl Service<Request> for AllowService {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Within the future, so that a panic of the closure is one of the handler.
        let Self { allow, mut next } = self.clone();
        Box::pin(async move {
            (allow.check)(&request)?;
            next.call(request).await
        })
    }
}

impl fmt::Debug for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Allow")
    }
}

impl fmt::Debug for AllowService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllowService")
    }
}
