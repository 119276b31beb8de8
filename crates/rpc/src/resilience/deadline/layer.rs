use std::time::Duration;

use micro_core::{Error, Kind};
use tower_layer::Layer;
use tower_service::Service;

use crate::resilience::{Answering, Guard, Guarded};
use crate::wire::status::CLIENT;

/// Ends requests that take longer; put round a [`RetryLayer`](crate::resilience::RetryLayer), it is the limit of all tries.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer(Duration);

impl DeadlineLayer {
    /// Creates a layer of a limit.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Guarded<S, DeadlineLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, *self)
    }
}

impl<S, R> Guard<S, R> for DeadlineLayer
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let limit = self.0;
        Box::pin(async move {
            tokio::time::timeout(limit, service.call(request)).await.unwrap_or_else(|_| {
                Err(Error::new(Kind::Timeout, format!("there was no answer within {limit:?}")).id(CLIENT))
            })
        })
    }
}
