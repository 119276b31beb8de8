use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::{Context, Result};

use super::{Receiver, Sender};

type Unary = dyn Fn(Context, Bytes) -> BoxFuture<'static, Result<Bytes>> + Send + Sync;
type ServerStream = dyn Fn(Context, Bytes, Box<dyn Sender>) -> BoxFuture<'static, Result<()>> + Send + Sync;
type ClientStream = dyn Fn(Context, Box<dyn Receiver>) -> BoxFuture<'static, Result<Bytes>> + Send + Sync;
type Stream = dyn Fn(Context, Box<dyn Receiver>, Box<dyn Sender>) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// What answers the calls of a method. Its future is dropped when the caller is gone or the time is over.
#[derive(Clone)]
#[expect(missing_docs, reason = "one a shape of call")]
pub enum Handler {
    Unary(Arc<Unary>),
    ServerStream(Arc<ServerStream>),
    ClientStream(Arc<ClientStream>),
    Stream(Arc<Stream>),
}

/// A method and its handler.
#[derive(Clone)]
pub struct Method {
    /// `Suite.Echo`.
    pub name: &'static str,
    /// What answers.
    pub handler: Handler,
}

impl Method {
    pub(super) fn unary<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(Context, Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes>> + Send + 'static,
    {
        Self { name, handler: Handler::Unary(Arc::new(move |context, body| Box::pin(handler(context, body)))) }
    }

    pub(super) fn server_stream<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(Context, Bytes, Box<dyn Sender>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let handler = move |context, body, out| -> BoxFuture<'static, _> { Box::pin(handler(context, body, out)) };
        Self { name, handler: Handler::ServerStream(Arc::new(handler)) }
    }

    pub(super) fn client_stream<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(Context, Box<dyn Receiver>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes>> + Send + 'static,
    {
        let handler = move |context, messages| -> BoxFuture<'static, _> { Box::pin(handler(context, messages)) };
        Self { name, handler: Handler::ClientStream(Arc::new(handler)) }
    }

    pub(super) fn stream<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(Context, Box<dyn Receiver>, Box<dyn Sender>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let handler =
            move |context, messages, out| -> BoxFuture<'static, _> { Box::pin(handler(context, messages, out)) };
        Self { name, handler: Handler::Stream(Arc::new(handler)) }
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}
