//! Handlers without their types: bodies in, bodies out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use micro_core::codec::{Format, Payload};
use micro_core::{Context, Error, Kind, Result};

use crate::stream::{Receiver, Sender, Source};
use crate::wire::failure::Failure;
use crate::wire::frame;
use crate::wire::outbox::Outbox;

pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a call's body is written in, and how large a message may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codec {
    pub(super) format: Format,
    pub(super) limit: usize,
}

/// One message in, one framed message out.
pub(super) type Unary = dyn Fn(Context, Codec, Bytes) -> Boxed<Result<Bytes, Failure>> + Send + Sync;

/// Messages in, messages out.
pub(super) type Stream = dyn Fn(Context, Codec, Source, Arc<Outbox>) -> Boxed<Result<(), Failure>> + Send + Sync;

pub(super) enum Handler {
    Unary(Box<Unary>),
    Stream(Box<Stream>),
}

pub(super) fn unary<Q, R, F, Fut>(handler: F) -> Handler
where
    Q: Payload,
    R: Payload,
    F: Fn(Context, Q) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    Handler::Unary(Box::new(move |context, codec, body| match Q::decode(codec.format, body) {
        Ok(request) => {
            let answer = handler(context, request);
            Box::pin(async move { encode(&answer.await?, codec) })
        }
        Err(error) => Box::pin(std::future::ready(Err(Failure::request(error)))),
    }))
}

pub(super) fn server_stream<Q, R, F, Fut>(handler: F) -> Handler
where
    Q: Payload,
    R: Payload,
    F: Fn(Context, Q, Sender<R>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Handler::Stream(Box::new(move |context, codec, mut source, outbox| {
        let handler = handler.clone();
        Box::pin(async move {
            // The request's end is not awaited: a go-micro client never sends it.
            let body = source.next().await.map_err(Failure::request)?.ok_or_else(no_message)?;
            let request = Q::decode(codec.format, body).map_err(Failure::request)?;
            Ok(handler(context, request, Sender::new(outbox, codec.format, codec.limit)).await?)
        })
    }))
}

pub(super) fn client_stream<Q, R, F, Fut>(handler: F) -> Handler
where
    Q: Payload,
    R: Payload,
    F: Fn(Context, Receiver<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    Handler::Stream(Box::new(move |context, codec, source, outbox| {
        let answer = handler(context, Receiver::new(source, codec.format));
        Box::pin(async move {
            outbox.put(&encode(&answer.await?, codec)?);
            Ok(())
        })
    }))
}

pub(super) fn stream<Q, R, F, Fut>(handler: F) -> Handler
where
    Q: Payload,
    R: Payload,
    F: Fn(Context, Receiver<Q>, Sender<R>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    Handler::Stream(Box::new(move |context, codec, source, outbox| {
        let requests = Receiver::new(source, codec.format);
        let responses = Sender::new(outbox, codec.format, codec.limit);
        let done = handler(context, requests, responses);
        Box::pin(async move { Ok(done.await?) })
    }))
}

fn encode<R: Payload>(answer: &R, codec: Codec) -> Result<Bytes, Failure> {
    frame::encode(answer, codec.format, codec.limit).map_err(|error| match error.kind() {
        Kind::TooLarge => Failure::request(error),
        // The caller's request was right.
        _ => Failure::Error(error.with_code(500)),
    })
}

pub(super) fn no_message() -> Failure {
    Failure::request(Error::new(Kind::Decode, "the call ended before its message; send one message"))
}
