use std::fmt;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use micro_core::codec::Payload;
use micro_core::registry::Value;
use micro_core::{Context, Error, Kind, Result};

use super::handler::{CallPlace, EventHandler, Handler, Place, Reading};
use crate::failure::Failure;

/// A value whose methods all receive the events of a topic. `#[subscriber]` on its `impl` writes this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods that receive events",
    note = "put `#[micro::subscriber]` on the `impl` block whose methods are `async fn(&self, Context, T) -> Result<()>`"
)]
pub trait SubscriberMethods: Send + Sync + 'static {
    /// Returns the methods.
    fn methods(self: Arc<Self>) -> Vec<Method>;
}

/// One method of a struct subscriber.
pub struct Method {
    pub(crate) name: String,
    pub(crate) request: Value,
    handler: Arc<dyn Handler>,
}

impl Method {
    /// Creates a method that takes events of one type.
    pub fn new<T: Payload, H: EventHandler<T>>(name: impl Into<String>, handler: H) -> Self {
        Self { name: name.into(), request: T::describe(), handler: Arc::new(Reading::typed(handler)) }
    }

    /// Calls it so that its panic does not stop the others.
    async fn call(&self, context: &Context, body: Bytes) -> Result<(), Failure> {
        let mut place = Arc::clone(&self.handler).place();
        let call = AssertUnwindSafe(async {
            place.call(context, body)?;
            poll_fn(|task| place.poll(task)).await
        });
        call.catch_unwind().await.unwrap_or_else(|panic| Err(Failure::panicked(&*panic)))
    }
}

/// Calls every method with each message, at the same time; all have to succeed.
pub(crate) struct Methods(pub(crate) Vec<Method>);

impl Handler for Methods {
    fn place(self: Arc<Self>) -> Box<dyn Place> {
        CallPlace::boxed(move |context: &Context, body: Bytes| {
            let (methods, context) = (Arc::clone(&self), context.clone());
            Ok(async move {
                let calls = methods.0.iter().map(|method| method.call(&context, body.clone()).boxed());
                let results = join_all(calls.collect::<Vec<_>>()).await;
                join(methods.0.iter().zip(results))
            })
        })
    }
}

/// Joins what failed, in go-micro's words. It is permanent only if trying again would help none of them.
fn join<'a>(results: impl Iterator<Item = (&'a Method, Result<(), Failure>)>) -> Result<(), Failure> {
    let mut failed: Vec<(&str, Failure)> = Vec::new();
    for (method, result) in results {
        if let Err(failure) = result {
            failed.push((&method.name, failure));
        }
    }
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let permanent = first.permanent.filter(|_| failed.iter().all(|(_, failure)| failure.permanent.is_some()));
    let kind = if failed.len() == 1 { first.error.kind() } else { Kind::Unknown };
    let texts: Vec<_> = failed.iter().map(|(name, failure)| format!("{name}: {}", failure.error)).collect();
    let error = Error::new(kind, format!("subscriber error: {}", texts.join("; "))).with_retry(first.error.retry());
    Err(Failure { error, permanent })
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.name).finish()
    }
}
