use std::task::{Context, Poll};

use micro_core::Error;
use tower_service::Service;

use super::Answering;

/// What a layer does with one request to the service behind it.
pub trait Guard<S, R>: Clone
where
    S: Service<R>,
{
    /// Answers a request, by the service if it comes to that. The service is ready.
    fn guard(&self, service: S, request: R) -> Answering<S::Response>;
}

/// A service with a guard before it: what each layer of this module makes. Clones share the guard's state.
#[derive(Debug, Clone)]
pub struct Guarded<S, G> {
    inner: S,
    guard: G,
}

impl<S, G> Guarded<S, G> {
    pub(super) fn new(inner: S, guard: G) -> Self {
        Self { inner, guard }
    }
}

impl<S, G, R> Service<R> for Guarded<S, G>
where
    S: Service<R, Error = Error> + Clone,
    G: Guard<S, R>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The one that is ready goes with the request.
        let next = self.inner.clone();
        self.guard.guard(std::mem::replace(&mut self.inner, next), request)
    }
}
