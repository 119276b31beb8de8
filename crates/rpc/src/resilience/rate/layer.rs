use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Rate;
use crate::resilience::{Answering, Guard, Guarded};

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
    type Service = Guarded<S, RateLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<S, R> Guard<S, R> for RateLayer
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let rate = self.0.clone();
        Box::pin(async move {
            rate.enter(None).await?;
            service.call(request).await
        })
    }
}
