use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use crate::codec::{Format, Payload};
use crate::{Context, Error, Headers, Kind, Result};

/// What a middleware stands round.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// A handler of calls.
    Server,
    /// A call to another service.
    Client,
    /// A handler of events.
    Event,
}

/// How many messages a run has.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One, which is the [body](Request::body).
    One,
    /// A stream of them, in either direction. The body is the first, for a client that sends one message for many; else it
    /// is empty.
    Stream,
    /// A batch of events; the body is empty.
    Batch,
}

/// A message that may lie behind what the wire puts before it.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Body {
    bytes: Bytes,
    prefix: usize,
}

impl Body {
    /// Keeps a message together with the `prefix` bytes before it.
    #[must_use]
    pub fn framed(bytes: Bytes, prefix: usize) -> Self {
        Self { prefix: prefix.min(bytes.len()), bytes }
    }

    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> Bytes {
        self.bytes.slice(self.prefix..)
    }

    /// Returns the bytes and how many of them stand before the message.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, usize) {
        (self.bytes, self.prefix)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, prefix: 0 }
    }
}

/// What is done when all middleware has let a request through.
#[doc(hidden)]
pub type Rest = Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

/// What a middleware sees on the way in.
///
/// A clone can be run again: a handler or a call then runs twice. A stream runs once.
#[derive(Clone)]
#[must_use = "a request is answered by running it"]
pub struct Request {
    side: Side,
    shape: Shape,
    service: Arc<str>,
    name: Arc<str>,
    context: Context,
    /// Where it is not that of the context.
    metadata: Option<Headers>,
    format: Option<Format>,
    body: Body,
    rest: Rest,
}

impl Request {
    /// Makes the request of a server, a client or a subscription.
    #[doc(hidden)]
    pub fn new(side: Side, shape: Shape, service: Arc<str>, name: Arc<str>, rest: Rest) -> Self {
        let (context, body) = (Context::new(), Body::default());
        Self { side, shape, service, name, context, metadata: None, format: None, body, rest }
    }

    /// Sets the message and its format.
    #[doc(hidden)]
    pub fn with_body(mut self, body: Body, format: Option<Format>) -> Self {
        (self.body, self.format) = (body, format);
        self
    }

    /// Sets metadata that is not the context's.
    #[doc(hidden)]
    pub fn with_metadata(mut self, metadata: Headers) -> Self {
        self.metadata = Some(metadata);
        self
    }

    pub(super) fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    pub(super) fn rest(&self) -> Rest {
        self.rest.clone()
    }

    /// Returns the context, with the metadata if the request has its own, and the message.
    #[doc(hidden)]
    #[must_use]
    pub fn into_context(self) -> (Context, Body) {
        let context = match self.metadata {
            Some(metadata) => self.context.to_builder().headers(metadata).build(),
            None => self.context,
        };
        (context, self.body)
    }

    /// Returns the context, the metadata and the message.
    #[doc(hidden)]
    #[must_use]
    pub fn into_parts(self) -> (Context, Headers, Body) {
        let metadata = self.metadata.unwrap_or_else(|| self.context.metadata().clone());
        (self.context, metadata, self.body)
    }

    /// Returns what the middleware stands round.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// Returns how many messages there are.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the name of the service: the one that handles; for a client the one that is called.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the endpoint, `Greeter.Greet`, or the topic.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the context: for a handler its own, for a client that of the handler which makes the call, or an empty one.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the metadata: what came with a call or an event; for a client what goes with it besides what it inherits.
    #[must_use]
    pub fn metadata(&self) -> &Headers {
        self.metadata.as_ref().unwrap_or(self.context.metadata())
    }

    /// Returns the metadata to change: a handler finds it in its context, a client sends it.
    pub fn metadata_mut(&mut self) -> &mut Headers {
        self.metadata.get_or_insert_with(|| self.context.metadata().clone())
    }

    /// Returns the message as it travels, for [`Shape::One`].
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.message()
    }

    /// Sets the message.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = Body::from(body.into());
    }

    /// Returns the format of the message, where it is known.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Reads the message.
    ///
    /// # Errors
    ///
    /// [`Kind::Decode`] if it is none of this type, or its format is not known.
    pub fn decode<T: Payload>(&self) -> Result<T> {
        T::decode(self.known_format()?, self.body())
    }

    /// Makes an answer of a value, in the format of the request.
    ///
    /// # Errors
    ///
    /// [`Kind::Encode`](crate::Kind::Encode) if the value has no such format.
    pub fn answer<T: Payload>(&self, value: &T) -> Result<Response> {
        let format = self.known_format()?;
        let mut buffer = BytesMut::with_capacity(value.size_hint(format));
        value.encode(format, &mut buffer)?;
        Ok(Response::new(buffer))
    }

    fn known_format(&self) -> Result<Format> {
        self.format.ok_or_else(|| {
            Error::new(Kind::Decode, format!("the message on {} has no content type that a codec reads", self.name))
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("side", &self.side)
            .field("shape", &self.shape)
            .field("service", &self.service)
            .field("name", &self.name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What a middleware sees on the way back. Of a stream, a batch and an event it is empty.
#[derive(Clone, Default)]
pub struct Response(Body);

impl Response {
    /// Creates an answer of one message, as it travels; see [`Request::answer`].
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self(body.into().into())
    }

    /// Creates an answer without a message: what acknowledges an event.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Makes an answer of what lies behind its prefix.
    #[doc(hidden)]
    pub fn from_body(body: Body) -> Self {
        Self(body)
    }

    /// Returns the message as it travels.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.0.message()
    }

    /// Returns the message with what may lie before it.
    #[doc(hidden)]
    #[must_use]
    pub fn into_body(self) -> Body {
        self.0
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} bytes)", self.0.message().len())
    }
}
