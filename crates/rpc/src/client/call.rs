use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::codec::{Format, Payload};
use micro_core::selector::{Choice, Filter, Selector};
use micro_core::{Context, Result};

use super::options::{CallOptions, setters};
use super::plan::Plan;
use super::stream_call::{self, Opened};
use super::{Client, layered, unary};
use crate::cores;
use crate::resilience::{Backoff, Concurrency, Hedge, Rate};
use crate::stream::{ClientStream, Receiver, Sender, Source, Stream};
use crate::wire::frame;

/// What all calls have.
pub(super) struct Start<'a> {
    pub(super) client: &'a Client,
    pub(super) service: &'a str,
    pub(super) endpoint: &'a str,
}

impl Start<'_> {
    /// The format of a call: what it asks for, what the client has for all, or the first that both types have.
    fn format<Q: Payload, R: Payload>(&self, options: &CallOptions) -> Format {
        options.format.or(self.client.inner().format).unwrap_or_else(|| {
            let both = Q::FORMATS.iter().find(|format| R::FORMATS.contains(format));
            both.or(Q::FORMATS.first()).copied().unwrap_or(Format::Protobuf)
        })
    }

    /// Opens a stream without a first message.
    async fn open(&self, options: CallOptions, format: Format, frame: Bytes) -> Result<Opened> {
        if let Some(next) = &self.client.inner().layers {
            return layered::open(next, self, options, format, frame).await;
        }
        let plan = Plan::new(self.client.inner(), self.service, self.endpoint, options, None, format, frame)?;
        cores::here(stream_call::open(plan)).await
    }

    fn limit(&self) -> usize {
        self.client.inner().max_message_size
    }
}

/// A call of one message for one. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, Q, R> {
    start: Start<'a>,
    request: &'a Q,
    options: CallOptions,
    answer: PhantomData<fn() -> R>,
}

impl<'a, Q: Payload, R: Payload> Call<'a, Q, R> {
    pub(super) fn new(client: &'a Client, service: &'a str, endpoint: &'a str, request: &'a Q) -> Self {
        let start = Start { client, service, endpoint };
        Self { start, request, options: CallOptions::default(), answer: PhantomData }
    }
}

impl<'a, Q: Payload, R: Payload> IntoFuture for Call<'a, Q, R> {
    type Output = Result<R>;
    type IntoFuture = BoxFuture<'a, Result<R>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { start, request, options, .. } = self;
            let format = start.format::<Q, R>(&options);
            let frame = frame::encode(request, format, start.limit())?;
            let client = start.client.inner();
            if let Some(next) = &client.layers {
                return R::decode(format, layered::call(next, &start, options, format, frame).await?);
            }
            let timeout = Some(client.timeout);
            let plan = Plan::new(client, start.service, start.endpoint, options, timeout, format, frame)?;
            // Not through one function for both: a future given to another is held twice.
            let body = if cores::is_runtime() {
                unary::run(&plan).await?
            } else {
                Box::pin(cores::hop(async move { unary::run(&plan).await })).await??
            };
            R::decode(format, body)
        })
    }
}

/// A call of one message for many. Await it for the [`Receiver`].
#[must_use = "a call does nothing until it is awaited"]
pub struct ServerStreamCall<'a, Q, R> {
    start: Start<'a>,
    request: &'a Q,
    options: CallOptions,
    answer: PhantomData<fn() -> R>,
}

impl<'a, Q: Payload, R: Payload> ServerStreamCall<'a, Q, R> {
    pub(super) fn new(client: &'a Client, service: &'a str, endpoint: &'a str, request: &'a Q) -> Self {
        let start = Start { client, service, endpoint };
        Self { start, request, options: CallOptions::default(), answer: PhantomData }
    }
}

impl<'a, Q: Payload, R: Payload> IntoFuture for ServerStreamCall<'a, Q, R> {
    type Output = Result<Receiver<R>>;
    type IntoFuture = BoxFuture<'a, Result<Receiver<R>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { start, request, options, .. } = self;
            let format = start.format::<Q, R>(&options);
            let frame = frame::encode(request, format, start.limit())?;
            let opened = start.open(options, format, frame).await?;
            Ok(Receiver::new(Source::client(opened.answers), format))
        })
    }
}

/// A call of many messages for one. Await it for the [`ClientStream`].
#[must_use = "a call does nothing until it is awaited"]
pub struct ClientStreamCall<'a, Q, R> {
    start: Start<'a>,
    options: CallOptions,
    types: PhantomData<fn(Q) -> R>,
}

impl<'a, Q: Payload, R: Payload> ClientStreamCall<'a, Q, R> {
    pub(super) fn new(client: &'a Client, service: &'a str, endpoint: &'a str) -> Self {
        Self { start: Start { client, service, endpoint }, options: CallOptions::default(), types: PhantomData }
    }
}

impl<'a, Q: Payload, R: Payload> IntoFuture for ClientStreamCall<'a, Q, R> {
    type Output = Result<ClientStream<Q, R>>;
    type IntoFuture = BoxFuture<'a, Result<ClientStream<Q, R>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { start, options, .. } = self;
            let format = start.format::<Q, R>(&options);
            let opened = start.open(options, format, Bytes::new()).await?;
            let sender = Sender::ending(opened.outbox, format, start.limit());
            Ok(ClientStream::new(sender, Receiver::new(Source::client(opened.answers), format)))
        })
    }
}

/// A call of many messages for many. Await it for the [`Stream`].
#[must_use = "a call does nothing until it is awaited"]
pub struct StreamCall<'a, Q, R> {
    start: Start<'a>,
    options: CallOptions,
    types: PhantomData<fn(Q) -> R>,
}

impl<'a, Q: Payload, R: Payload> StreamCall<'a, Q, R> {
    pub(super) fn new(client: &'a Client, service: &'a str, endpoint: &'a str) -> Self {
        Self { start: Start { client, service, endpoint }, options: CallOptions::default(), types: PhantomData }
    }
}

impl<'a, Q: Payload, R: Payload> IntoFuture for StreamCall<'a, Q, R> {
    type Output = Result<Stream<Q, R>>;
    type IntoFuture = BoxFuture<'a, Result<Stream<Q, R>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { start, options, .. } = self;
            let format = start.format::<Q, R>(&options);
            let opened = start.open(options, format, Bytes::new()).await?;
            let sender = Sender::ending(opened.outbox, format, start.limit());
            Ok(Stream::new(sender, Receiver::new(Source::client(opened.answers), format)))
        })
    }
}

setters!(Call<Q, R>, ServerStreamCall<Q, R>, ClientStreamCall<Q, R>, StreamCall<Q, R>);

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.endpoint)
    }
}

macro_rules! debug {
    ($($call:ident),+) => {$(
        impl<Q, R> fmt::Debug for $call<'_, Q, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($call)).field(&self.start).finish()
            }
        }
    )+};
}

debug!(Call, ServerStreamCall, ClientStreamCall, StreamCall);
