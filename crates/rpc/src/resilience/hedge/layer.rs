use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use micro_core::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::Hedge;
use crate::resilience::{Answering, Budget, Repeatable};

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
    type Service = HedgeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService { inner, layer: self.clone() }
    }
}

/// What [`HedgeLayer`] makes.
#[derive(Debug, Clone)]
pub struct HedgeService<S> {
    inner: S,
    layer: HedgeLayer,
}

impl<S, R> Service<R> for HedgeService<S>
where
    S: Service<R, Error = Error, Future: Send> + Clone + Send + 'static,
    R: Repeatable,
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
        let (mut first, layer) = (std::mem::replace(&mut self.inner, next), self.layer.clone());
        let mut second = self.inner.clone();
        Box::pin(async move {
            layer.budget.call();
            if !request.is_idempotent() {
                return first.call(request).await;
            }
            let again = request.clone();
            let one = Box::pin(first.call(request));
            let pause = Box::pin(tokio::time::sleep(layer.hedge.pause()));
            let one = match select(one, pause).await {
                Either::Left((answer, _)) => return answer,
                Either::Right(((), one)) => one,
            };
            if !layer.budget.retry() {
                return one.await;
            }
            let other = Box::pin(async move {
                std::future::poll_fn(|cx| second.poll_ready(cx)).await?;
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
