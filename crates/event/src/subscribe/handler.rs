use std::marker::PhantomData;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::broker::Message;
use micro_core::codec::Payload;
use micro_core::{Context, Result};

use crate::decode::decode;
use crate::failure::Failure;

/// A function that handles events: `async fn(Context, T) -> Result<()>`, or a closure of that shape.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle events of type `{T}`",
    label = "not an `async fn(Context, {T}) -> micro::Result<()>`",
    note = "a handler takes a `Context` and the event by value, and its future is `Send`",
    note = "the most usual causes: an argument by reference, another error type, an `Rc` or a lock guard held over an `await`"
)]
pub trait EventHandler<T>: Fn(Context, T) -> <Self as EventHandler<T>>::Future + Send + Sync + 'static {
    /// What it returns.
    type Future: Future<Output = Result<()>> + Send + 'static;
}

impl<T, F, Fut> EventHandler<T> for F
where
    F: Fn(Context, T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    type Future = Fut;
}

/// A handler whose type is forgotten. The context carries headers and delivery, so that only the body comes beside it.
pub(crate) trait Handler: Send + Sync {
    fn handle(&self, context: Context, body: Bytes) -> BoxFuture<'_, Result<(), Failure>>;
}

/// Decodes, then calls.
pub(crate) struct Typed<T, H>(H, PhantomData<fn(T)>);

impl<T, H> Typed<T, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<T: Payload, H: EventHandler<T>> Handler for Typed<T, H> {
    fn handle(&self, context: Context, body: Bytes) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let value = decode::<T>(&context, body)?;
            (self.0)(context, value).await.map_err(Failure::from)
        })
    }
}

/// Calls with the message as it is.
pub(crate) struct Raw<H>(pub(crate) H);

impl<H: EventHandler<Message>> Handler for Raw<H> {
    fn handle(&self, context: Context, body: Bytes) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let message = message(&context, body);
            (self.0)(context, message).await.map_err(Failure::from)
        })
    }
}

/// Puts the message together again.
pub(crate) fn message(context: &Context, body: Bytes) -> Message {
    let mut message = Message::new(body);
    message.headers = context.metadata().clone();
    message.key = context.event().and_then(|event| event.key.clone());
    message
}
