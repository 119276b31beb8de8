use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use micro_core::{Error, Kind, Retry};
use tower_layer::Layer;
use tower_service::Service;

use super::{Breaker, Circuit};
use crate::resilience::Answering;
use crate::wire::status::CLIENT;

/// Puts one [`Circuit`] before a service.
#[derive(Debug, Clone, Copy)]
pub struct BreakerLayer(Breaker);

impl BreakerLayer {
    /// Creates a layer; each service that it is put on has a circuit of its own.
    #[must_use]
    pub fn new(breaker: Breaker) -> Self {
        Self(breaker)
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = BreakerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService { inner, circuit: Arc::new(Circuit::new(self.0)) }
    }
}

/// What [`BreakerLayer`] makes. Clones share the circuit.
#[derive(Debug, Clone)]
pub struct BreakerService<S> {
    inner: S,
    circuit: Arc<Circuit>,
}

impl<S, R> Service<R> for BreakerService<S>
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
        let (mut inner, circuit) = (std::mem::replace(&mut self.inner, next), Arc::clone(&self.circuit));
        Box::pin(async move {
            let trial = circuit.enter().map_err(|left| refused("the service", left))?;
            let outcome = inner.call(request).await;
            match &outcome {
                Ok(_) => trial.answered(),
                Err(error) => trial.failed(error),
            }
            outcome
        })
    }
}

/// Says that nothing was called, and when it will be.
pub(crate) fn refused(whom: &str, left: Duration) -> Error {
    let text = match left.is_zero() {
        true => format!("{whom} was not called: its circuit breaker is open, and a trial is under way"),
        false => format!("{whom} was not called: its circuit breaker is open, for {left:.1?} more"),
    };
    Error::new(Kind::Unavailable, text).id(CLIENT).with_retry(Retry::After(left))
}
