use std::future::poll_fn;

use futures_util::future::{Either, select};
use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Hedge;
use crate::resilience::{Answering, Budget, Guard, Guarded, Repeatable};

/// Sends idempotent requests a second time when the first answer is slow; the first answer counts.
#[derive(Debug, Clone)]
pub struct HedgeLayer {
    hedge: Hedge,
    budget: Budget,
}

impl HedgeLayer {
    /// Creates a layer.
    #[must_use]
    pub fn new(hedge: Hedge, budget: Budget) -> Self {
        Self { hedge, budget }
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Guarded<S, HedgeLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<S, R> Guard<S, R> for HedgeLayer
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Repeatable,
    S::Response: Send + 'static,
{
    fn guard(&self, mut service: S, request: R) -> Answering<S::Response> {
        let (layer, mut second) = (self.clone(), service.clone());
        Box::pin(async move {
            layer.budget.call();
            if !request.is_idempotent() {
                return service.call(request).await;
            }
            let again = request.clone();
            let one = Box::pin(service.call(request));
            let pause = Box::pin(tokio::time::sleep(layer.hedge.pause()));
            let one = match select(one, pause).await {
                Either::Left((answer, _)) => return answer,
                Either::Right(((), one)) => one,
            };
            if !layer.budget.retry() {
                return one.await;
            }
            let other = Box::pin(async move {
                poll_fn(|cx| second.poll_ready(cx)).await?;
                second.call(again).await
            });
            first_answer(one, other).await
        })
    }
}

/// Waits for the first of two answers; an error counts only when there is no other.
pub(crate) async fn first_answer<T, E>(
    one: impl Future<Output = Result<T, E>> + Unpin,
    other: impl Future<Output = Result<T, E>> + Unpin,
) -> Result<T, E> {
    match select(one, other).await {
        Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(_), rest)) => rest.await,
        Either::Right((Err(_), rest)) => rest.await,
    }
}
