use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_conformance::transport::{Handler, Method, Sender, Server};
use micro_core::Result;
use tokio::sync::mpsc;

use super::wrong::Wrong;

#[derive(Debug)]
pub(super) struct BrokenServer {
    pub(super) inner: Box<dyn Server>,
    pub(super) wrong: Wrong,
}

#[async_trait]
impl Server for BrokenServer {
    fn address(&self) -> String {
        self.inner.address()
    }

    async fn stop(&self, limit: Duration) -> usize {
        let cut = match self.wrong {
            Wrong::StopsAtOnce => self.inner.stop(Duration::ZERO).await,
            Wrong::StopsNothing => {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                0
            }
            Wrong::StopsLate => self.inner.stop(limit + Duration::from_secs(10)).await,
            Wrong::StopsEarly => self.inner.stop(limit / 4).await,
            Wrong::WaitsForConnections => {
                tokio::time::sleep(limit).await;
                self.inner.stop(limit).await
            }
            _ => self.inner.stop(limit).await,
        };
        if self.wrong == Wrong::CountsNothing { 0 } else { cut }
    }
}

/// A method whose handler is run in a wrong way.
pub(super) fn broken(method: Method, wrong: Wrong) -> Method {
    let handler = match (method.handler, wrong) {
        (Handler::Unary(handle), Wrong::LetsHandlersRunOn) => {
            Handler::Unary(Arc::new(move |context, body| on_its_own(handle(context, body))))
        }
        (Handler::ServerStream(handle), Wrong::LetsHandlersRunOn) => {
            Handler::ServerStream(Arc::new(move |context, body, out| on_its_own(handle(context, body, out))))
        }
        (Handler::Stream(handle), Wrong::LetsHandlersRunOn) => {
            Handler::Stream(Arc::new(move |context, messages, out| on_its_own(handle(context, messages, out))))
        }
        (Handler::ServerStream(handle), Wrong::AnswersWithoutLimit) => {
            Handler::ServerStream(Arc::new(move |context, body, out| {
                let (queue, mut queued) = mpsc::unbounded_channel();
                let done = handle(context, body, Box::new(Queue(queue)));
                Box::pin(async move {
                    let sent = async {
                        while let Some(message) = queued.recv().await {
                            out.send(message).await?;
                        }
                        Ok(())
                    };
                    futures_util::future::try_join(done, sent).await.map(|_| ())
                })
            }))
        }
        (handler, _) => handler,
    };
    Method { name: method.name, handler }
}

/// What goes on when nobody waits for it.
fn on_its_own<T: Send + 'static>(handled: BoxFuture<'static, Result<T>>) -> BoxFuture<'static, Result<T>> {
    let handled = tokio::spawn(handled);
    Box::pin(async move { handled.await.unwrap() })
}

/// A sender that never waits.
struct Queue(mpsc::UnboundedSender<Bytes>);

#[async_trait]
impl Sender for Queue {
    async fn send(&self, message: Bytes) -> Result<()> {
        // Nobody hears it any more; so be it.
        let _ = self.0.send(message);
        Ok(())
    }
}
