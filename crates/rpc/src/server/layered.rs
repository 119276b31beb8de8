//! Middleware round handlers. It is put there once, at the start: without any the handlers are as they were.

use std::sync::{Arc, Mutex, PoisonError};

use micro_core::codec::Format;
use micro_core::middleware::{Body, Next, Request, Response, Rest, Shape, Side};
use micro_core::{Error, Kind};

use super::handler::{Handler, Stream, Unary};
use crate::wire::failure::Failure;
use crate::wire::frame::{self, PREFIX};

/// Puts middleware round a handler.
pub(super) fn wrap(service: &Arc<str>, name: &Arc<str>, handler: Handler, next: &Next) -> Handler {
    let (service, name, next) = (service.clone(), name.clone(), next.clone());
    match handler {
        Handler::Unary(run) => unary(service, name, run.into(), next),
        Handler::Stream(run) => stream(service, name, run.into(), next),
    }
}

fn unary(service: Arc<str>, name: Arc<str>, run: Arc<Unary>, next: Next) -> Handler {
    Handler::Unary(Box::new(move |context, codec, body| {
        let run = run.clone();
        let rest: Rest = Arc::new(move |request| {
            let run = run.clone();
            Box::pin(async move {
                let (context, body) = request.into_context();
                let answer = context.clone().scope(async { run(context, codec, body.message()).await }).await;
                let frame = answer.map_err(Failure::into_error)?;
                Ok(Response::from_body(Body::framed(frame, PREFIX)))
            })
        });
        let request = Request::new(Side::Server, Shape::One, service.clone(), name.clone(), rest);
        let request = request.with_body(body.into(), Some(codec.format));
        let next = next.clone();
        Box::pin(async move {
            let answer = next.run(context, request).await.map_err(Failure::of_error)?;
            frame::of_body(answer.into_body(), codec.limit).map_err(Failure::request)
        })
    }))
}

fn stream(service: Arc<str>, name: Arc<str>, run: Arc<Stream>, next: Next) -> Handler {
    Handler::Stream(Box::new(move |context, codec, source, outbox| {
        let (run, answers) = (run.clone(), outbox.clone());
        let once = Mutex::new(Some((source, outbox)));
        let rest: Rest = Arc::new(move |request| {
            let (run, streams) = (run.clone(), once.lock().unwrap_or_else(PoisonError::into_inner).take());
            Box::pin(async move {
                let (source, outbox) = streams.ok_or_else(|| {
                    let text = format!("a middleware ran the stream {} twice; its messages are gone", request.name());
                    Error::new(Kind::Internal, text)
                })?;
                let (context, _) = request.into_context();
                let done = context.clone().scope(async { run(context, codec, source, outbox).await }).await;
                done.map(|()| Response::empty()).map_err(Failure::into_error)
            })
        });
        let request = Request::new(Side::Server, Shape::Stream, service.clone(), name.clone(), rest);
        let request = request.with_body(Body::default(), Some(codec.format));
        let next = next.clone();
        Box::pin(async move {
            let answer = next.run(context, request).await.map_err(Failure::of_error)?;
            // One that answers in place of the handler has one message to give.
            let body = answer.body();
            if !body.is_empty() {
                answers.put(&frame::encode(&body, Format::Bytes, codec.limit).map_err(Failure::request)?);
            }
            Ok(())
        })
    }))
}
