//! Middleware round a call. It runs where the call does, and owns what it needs: it may run it again, or never.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::codec::Format;
use micro_core::middleware::{Body, Next, Request, Response, Rest, Shape, Side};
use micro_core::{Context, Error, Kind, Result};

use super::call::Start;
use super::options::CallOptions;
use super::plan::Plan;
use super::stream_call::{self, Opened};
use super::{Inner, unary};
use crate::cores;
use crate::wire::frame::{self, PREFIX};
use crate::wire::status::CLIENT;

/// What a call needs, to be made as often as a middleware likes.
struct Made {
    client: Arc<Inner>,
    service: Arc<str>,
    endpoint: Arc<str>,
    options: CallOptions,
    format: Format,
}

impl Made {
    fn plan(&self, request: Request, timeout: Option<std::time::Duration>, has_message: bool) -> Result<Plan> {
        let (context, metadata, body) = request.into_parts();
        let frame = if has_message { frame::of_body(body, self.client.max_message_size)? } else { Bytes::new() };
        let options = CallOptions { context: Some(context), metadata, ..self.options.clone() };
        Plan::new(&self.client, &self.service, &self.endpoint, options, timeout, self.format, frame)
    }

    fn request(&self, shape: Shape, rest: Rest) -> Request {
        let request = Request::new(Side::Client, shape, self.service.clone(), self.endpoint.clone(), rest);
        request.with_metadata(self.options.metadata.clone())
    }
}

fn made(start: &Start<'_>, mut options: CallOptions, format: Format) -> (Arc<Made>, Context) {
    let context = options.context.take().or_else(Context::try_current).unwrap_or_default();
    let (service, endpoint) = (start.service.into(), start.endpoint.into());
    (Arc::new(Made { client: start.client.inner().clone(), service, endpoint, options, format }), context)
}

/// Makes a call of one message for one; returns the body of the answer.
pub(super) fn call(
    next: &Next,
    start: &Start<'_>,
    options: CallOptions,
    format: Format,
    frame: Bytes,
) -> BoxFuture<'static, Result<Bytes>> {
    let (made, context) = made(start, options, format);
    let (again, next) = (made.clone(), next.clone());
    let rest: Rest = Arc::new(move |request| {
        let made = again.clone();
        Box::pin(async move {
            let plan = made.plan(request, Some(made.client.timeout), true)?;
            unary::run(&plan).await.map(Response::new)
        })
    });
    let request = made.request(Shape::One, rest).with_body(Body::framed(frame, PREFIX), Some(format));
    Box::pin(cores::here(async move { next.run(context, request).await.map(|answer| answer.body()) }))
}

/// Opens a stream, with its first message if it has one.
pub(super) fn open(
    next: &Next,
    start: &Start<'_>,
    options: CallOptions,
    format: Format,
    frame: Bytes,
) -> BoxFuture<'static, Result<Opened>> {
    let (made, context) = made(start, options, format);
    let has_message = !frame.is_empty();
    let opened = Arc::new(Mutex::new(None));
    let (again, next, slot) = (made.clone(), next.clone(), opened.clone());
    let rest: Rest = Arc::new(move |request| {
        let (made, slot) = (again.clone(), slot.clone());
        Box::pin(async move {
            let plan = made.plan(request, None, has_message)?;
            let opened = stream_call::open(plan).await?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
            Ok(Response::empty())
        })
    });
    let body = if has_message { Body::framed(frame, PREFIX) } else { Body::default() };
    let request = made.request(Shape::Stream, rest).with_body(body, Some(format));
    Box::pin(cores::here(async move {
        next.run(context, request).await?;
        let opened = opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        opened.ok_or_else(|| {
            let text = format!(
                "a middleware answered the stream {} of {} without opening it; return an error, or run what comes next",
                made.endpoint, made.service
            );
            Error::new(Kind::Internal, text).id(CLIENT)
        })
    }))
}
