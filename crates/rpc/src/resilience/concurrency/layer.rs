use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Concurrency;
use crate::resilience::{Answering, Guard, Guarded};

/// Has requests wait for a place of a [`Concurrency`].
#[derive(Debug, Clone)]
pub struct ConcurrencyLayer(Concurrency);

impl ConcurrencyLayer {
    /// Creates a layer of a limit, which others may share.
    #[must_use]
    pub fn new(limit: Concurrency) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Guarded<S, ConcurrencyLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<S, R> Guard<S, R> for ConcurrencyLayer
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let limit = self.0.clone();
        Box::pin(async move {
            let _place = limit.enter().await?;
            service.call(request).await
        })
    }
}
