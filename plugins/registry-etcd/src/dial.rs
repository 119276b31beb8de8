//! A connection with TLS, by the certificates as they are now.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use micro_tls::{ClientStream, Connector};
use tokio::net::TcpStream;
use tonic::transport::Uri;
use tower_service::Service;

/// Dials one server, `host:port`, whatever it is asked for.
pub(crate) struct Dial {
    pub(crate) connector: Arc<Connector>,
    pub(crate) server: String,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<ClientStream<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (connector, server) = (Arc::clone(&self.connector), self.server.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(&server).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(&server, stream).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
