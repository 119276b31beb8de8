use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use micro_core::codec::Payload;
use micro_core::registry;
use micro_core::{Context, Result};

use super::handler::{self, Handler};
use crate::stream::{Receiver, Sender};

/// One method and its handler.
///
/// The name has two parts, `Greeter.Greet`. Callers reach it by `/Greeter/Greet` with any package before the service, as
/// go-micro has it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use micro_core::{Error, Result};
/// use micro_rpc::{Endpoint, Sender};
///
/// let echo = Endpoint::unary("Echo.Call", |_context, body: Bytes| async move { Ok(body) });
/// let twice = Endpoint::server_stream("Echo.Twice", |_context, body: Bytes, answers: Sender<Bytes>| async move {
///     answers.send(body.clone()).await?;
///     answers.send(body).await
/// });
/// assert_eq!(twice.record().metadata["stream"], "true");
/// # let _ = echo;
/// ```
pub struct Endpoint {
    name: Arc<str>,
    record: fn() -> (registry::Value, registry::Value),
    metadata: BTreeMap<String, String>,
    internal: bool,
    max_in_flight: Option<usize>,
    handler: Handler,
}

fn describe<Q: Payload, R: Payload>() -> (registry::Value, registry::Value) {
    (Q::describe(), R::describe())
}

impl Endpoint {
    fn new<Q: Payload, R: Payload>(name: Arc<str>, handler: Handler) -> Self {
        let metadata = match handler {
            Handler::Unary(_) => BTreeMap::new(),
            Handler::Stream(_) => BTreeMap::from([("stream".to_owned(), "true".to_owned())]),
        };
        Self { name, record: describe::<Q, R>, metadata, internal: false, max_in_flight: None, handler }
    }

    /// Creates an endpoint that answers one message with one.
    ///
    /// The handler starts at the first message, and is dropped when the caller goes away or its time is over.
    pub fn unary<Q, R, F, Fut>(name: impl Into<Arc<str>>, handler: F) -> Self
    where
        Q: Payload,
        R: Payload,
        F: Fn(Context, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        Self::new::<Q, R>(name.into(), handler::unary(handler))
    }

    /// Creates an endpoint that answers one message with any number. The answer ends when the handler returns.
    pub fn server_stream<Q, R, F, Fut>(name: impl Into<Arc<str>>, handler: F) -> Self
    where
        Q: Payload,
        R: Payload,
        F: Fn(Context, Q, Sender<R>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self::new::<Q, R>(name.into(), handler::server_stream(handler))
    }

    /// Creates an endpoint that takes any number of messages and answers with one.
    pub fn client_stream<Q, R, F, Fut>(name: impl Into<Arc<str>>, handler: F) -> Self
    where
        Q: Payload,
        R: Payload,
        F: Fn(Context, Receiver<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        Self::new::<Q, R>(name.into(), handler::client_stream(handler))
    }

    /// Creates an endpoint that takes and gives any number of messages, both at once. The answer ends when the handler
    /// returns.
    pub fn stream<Q, R, F, Fut>(name: impl Into<Arc<str>>, handler: F) -> Self
    where
        Q: Payload,
        R: Payload,
        F: Fn(Context, Receiver<Q>, Sender<R>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self::new::<Q, R>(name.into(), handler::stream(handler))
    }

    /// Adds a metadata pair to the registry's description.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Keeps the endpoint out of the registry; it answers all the same.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Sets how many of its calls run at once; further ones are refused, as
    /// [`ServerOptions::max_in_flight`](crate::ServerOptions::max_in_flight) says. It goes before the server's
    /// [default](crate::ServerOptions::endpoint_max_in_flight), and behind
    /// [one by its name](crate::ServerOptions::endpoint_limit).
    #[must_use]
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = Some(count);
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether it is kept out of the registry.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// Returns the endpoint as the registry describes it. Streams are described by their messages, with the metadata
    /// `stream=true`.
    #[must_use]
    pub fn record(&self) -> registry::Endpoint {
        let (request, response) = (self.record)();
        let mut record = registry::Endpoint::new(&*self.name).request(request).response(response);
        record.metadata.clone_from(&self.metadata);
        record
    }

    /// Returns how many of its calls may run at once, by its own word.
    pub(super) fn limit(&self) -> Option<usize> {
        self.max_in_flight
    }

    pub(super) fn into_parts(self) -> (Arc<str>, Handler) {
        (self.name, self.handler)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
