use std::sync::Arc;
use std::time::Duration;

use micro_core::{Error, Kind, Retry};
use tower_layer::Layer;
use tower_service::Service;

use super::{Breaker, Circuit};
use crate::resilience::{Answering, Guard, Guarded};
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
    type Service = Guarded<S, Arc<Circuit>>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, Arc::new(Circuit::new(self.0)))
    }
}

impl<S, R> Guard<S, R> for Arc<Circuit>
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let circuit = Arc::clone(self);
        Box::pin(async move {
            let trial = circuit.enter().map_err(|left| refused("the service", left))?;
            let outcome = service.call(request).await;
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
