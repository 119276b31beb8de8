use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use bytes::Bytes;
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

/// A handler whose type is forgotten.
pub(crate) trait Handler: Send + Sync {
    /// Prepares a place where a worker calls it, again and again.
    fn place(self: Arc<Self>) -> Box<dyn Place>;
}

/// Where a worker calls a handler, one message at a time: the handler's future lies in the same memory each time.
pub(crate) trait Place: Send {
    /// Reads the message and calls the handler. The context carries headers and delivery, so that only the body comes
    /// beside it.
    fn call(&mut self, context: &Context, body: Bytes) -> Result<(), Failure>;

    /// Goes on with what was called.
    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Failure>>;

    /// Drops what was called and is not done.
    fn clear(&mut self);
}

/// The place of a handler whose call returns a future.
pub(crate) struct CallPlace<C, F> {
    call: C,
    future: Pin<Box<Option<F>>>,
}

impl<C, F, E> CallPlace<C, F>
where
    C: FnMut(&Context, Bytes) -> Result<F, Failure> + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Failure>,
{
    pub(crate) fn boxed(call: C) -> Box<dyn Place> {
        Box::new(Self { call, future: Box::pin(None) })
    }
}

impl<C, F, E> Place for CallPlace<C, F>
where
    C: FnMut(&Context, Bytes) -> Result<F, Failure> + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Into<Failure>,
{
    fn call(&mut self, context: &Context, body: Bytes) -> Result<(), Failure> {
        let future = (self.call)(context, body)?;
        self.future.set(Some(future));
        Ok(())
    }

    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Ready(Ok(())) };
        let result = ready!(future.poll(task));
        self.future.set(None);
        Poll::Ready(result.map_err(Into::into))
    }

    fn clear(&mut self) {
        self.future.set(None);
    }
}

/// Reads what its handler takes, then calls it.
pub(crate) struct Reading<T, H> {
    read: fn(&Context, Bytes) -> Result<T, Failure>,
    handler: H,
}

impl<T: Payload, H: EventHandler<T>> Reading<T, H> {
    /// Decodes.
    pub(crate) fn typed(handler: H) -> Self {
        Self { read: |context, body| decode(context.endpoint().unwrap_or_default(), context.metadata(), body), handler }
    }
}

impl<H: EventHandler<Message>> Reading<Message, H> {
    /// Puts the message together again.
    pub(crate) fn raw(handler: H) -> Self {
        Self { read: |context, body| Ok(message(context, body)), handler }
    }
}

impl<T: 'static, H: EventHandler<T>> Handler for Reading<T, H> {
    fn place(self: Arc<Self>) -> Box<dyn Place> {
        CallPlace::boxed(move |context: &Context, body| {
            let value = (self.read)(context, body)?;
            Ok((self.handler)(context.clone(), value))
        })
    }
}

fn message(context: &Context, body: Bytes) -> Message {
    let mut message = Message::new(body);
    message.headers = context.metadata().clone();
    message.key = context.event().and_then(|event| event.key.clone());
    message
}
