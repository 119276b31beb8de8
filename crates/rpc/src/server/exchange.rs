//! One call, from its request to its answer.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::time::sleep_until;
use tracing::{Instrument, Span};

use super::connection::Peer;
use super::dispatch::{self, Admitted, Deadline};
use super::handler::{self, Handler};
use super::occupied::Occupied;
use super::routes::Route;
use super::stats::InFlight;
use super::stream_exchange;
use super::turn::Turn;
use crate::trace;
use crate::wire::failure::Failure;
use crate::wire::messages::Messages;
use crate::wire::status;

/// A call that began.
pub(super) struct Exchange {
    pub(super) respond: SendResponse<Bytes>,
    pub(super) content_type: HeaderValue,
    /// Who speaks in errors.
    pub(super) service: Arc<str>,
    started: Instant,
    in_flight: InFlight,
    route: Arc<Route>,
    _occupied: Option<Occupied>,
}

/// How a call ended.
pub(super) enum End {
    Answered(Bytes),
    Failed(Failure),
    /// The caller went away; nobody hears an answer.
    Gone,
    /// A stream that was answered to its end, with this code.
    Streamed(u8),
}

/// Begins a call, here or on the runtime the server was given for its handlers. What cannot begin is answered at once.
pub(super) fn begin(
    peer: &Peer,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    woken: Option<Instant>,
) {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let options = &peer.shared.options;
    let in_flight = peer.shared.stats.begin();
    let content_type = match dispatch::content_type(&head) {
        Ok(content_type) => content_type,
        Err(status) => return refuse(&mut respond, status),
    };
    let mut call = match dispatch::admit(&head, &content_type, peer, now(options.handle())) {
        Ok(call) => call,
        Err(failure) => {
            in_flight.stats().error();
            return fail(&mut respond, &content_type, &failure, options.name());
        }
    };
    let route = call.route.clone();
    let turn = Turn {
        shared: peer.shared.clone(),
        deadline: call.deadline,
        arrived: woken.unwrap_or(started),
        waiting: peer.waiting.clone().filter(|_| !route.is_built_in),
    };
    let span = trace::server(&route.name, call.context.metadata(), &peer.remote);
    let service = options.shared_name().clone();
    let exchange =
        Exchange { respond, content_type, service, started, in_flight, route, _occupied: call.occupied.take() };
    match call.route.handler {
        Handler::Unary(_) => spawn(options.handle(), span, exchange.unary(body, call, turn)),
        Handler::Stream(_) => spawn(options.handle(), span, exchange.stream(body, call, turn)),
    }
}

/// Returns the present of the runtime that the handler runs on: its clock may be one that a test moves.
fn now(runtime: Option<&Handle>) -> Instant {
    let _there = runtime.map(Handle::enter);
    tokio::time::Instant::now().into_std()
}

fn spawn(runtime: Option<&Handle>, span: Option<Span>, call: impl Future<Output = ()> + Send + 'static) {
    match (runtime, span) {
        (None, None) => drop(tokio::spawn(call)),
        (None, Some(span)) => drop(tokio::spawn(call.instrument(span))),
        (Some(runtime), None) => drop(runtime.spawn(call)),
        (Some(runtime), Some(span)) => drop(runtime.spawn(call.instrument(span))),
    }
}

impl Exchange {
    async fn unary(mut self, body: RecvStream, call: Admitted, turn: Turn) {
        let began = match turn.take(&self.route) {
            Ok(began) => began,
            Err(failure) => return self.refuse(&failure),
        };
        let end = unary(&mut self.respond, body, call).await;
        if matches!(end, End::Answered(_)) {
            let now = tokio::time::Instant::now();
            self.route.fastest.note(now.saturating_duration_since(began), now);
        }
        self.finish(end);
    }

    async fn stream(mut self, body: RecvStream, call: Admitted, turn: Turn) {
        if let Err(failure) = turn.take(&self.route) {
            return self.refuse(&failure);
        }
        let end = stream_exchange::run(&mut self, body, call).await;
        self.finish(end);
    }

    /// Answers a call that does not begin.
    fn refuse(mut self, failure: &Failure) {
        self.in_flight.stats().error();
        fail(&mut self.respond, &self.content_type, failure, &self.service);
    }

    fn finish(mut self, end: End) {
        let code = match end {
            End::Answered(frame) => {
                answer(&mut self.respond, self.content_type, frame);
                0
            }
            End::Failed(failure) => {
                fail(&mut self.respond, &self.content_type, &failure, &self.service);
                failure.grpc()
            }
            End::Gone => 1,
            End::Streamed(code) => code,
        };
        if code != 0 {
            self.in_flight.stats().error();
        }
        self.route.measure.record(code, self.started.elapsed());
    }
}

async fn unary(respond: &mut SendResponse<Bytes>, body: RecvStream, call: Admitted) -> End {
    let Admitted { route, codec, context, deadline, .. } = call;
    let Handler::Unary(run) = &route.handler else { return End::Gone };
    let mut messages = Messages::new(body, codec.limit);
    let mut work = pin!(async {
        // The end of the request is not awaited: a go-micro stream client never sends it.
        let body = poll_fn(|cx| messages.poll_next(cx)).await.map_err(Failure::request)?;
        let body = body.ok_or_else(handler::no_message)?;
        context.clone().scope(async { run(context, codec, body).await }).await
    });
    let mut over = pin!(over(deadline));
    poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(Ok(frame))) => return Poll::Ready(End::Answered(frame)),
            Ok(Poll::Ready(Err(failure))) => return Poll::Ready(End::Failed(failure)),
            Ok(Poll::Pending) => {}
            Err(panic) => return Poll::Ready(End::Failed(panicked(&route.name, &*panic))),
        }
        if respond.poll_reset(cx).is_ready() {
            return Poll::Ready(End::Gone);
        }
        over.as_mut().poll(cx).map(|deadline| End::Failed(deadline.failure(&route.name)))
    })
    .await
}

/// Waits until a call's time is over.
pub(super) async fn over(deadline: Option<Deadline>) -> Deadline {
    match deadline {
        Some(deadline) => {
            sleep_until(deadline.at.into()).await;
            deadline
        }
        None => pending().await,
    }
}

pub(super) fn panicked(name: &str, panic: &(dyn std::any::Any + Send)) -> Failure {
    let failure = Failure::panic(panic);
    tracing::error!(endpoint = name, ?failure, "a handler panicked; the process goes on");
    failure
}

/// Returns the head of an answer: its content type is that of the request.
pub(super) fn head(content_type: HeaderValue) -> Response<()> {
    let mut head = Response::new(());
    *head.headers_mut() = HeaderMap::with_capacity(4);
    head.headers_mut().insert(CONTENT_TYPE, content_type);
    head
}

// Sending fails only when the caller is gone, who would have heard of it.

fn answer(respond: &mut SendResponse<Bytes>, content_type: HeaderValue, frame: Bytes) {
    if let Ok(mut stream) = respond.send_response(head(content_type), false) {
        let _ = stream.send_data(frame, false);
        let _ = stream.send_trailers(status::ok());
    }
}

pub(super) fn fail(respond: &mut SendResponse<Bytes>, content_type: &HeaderValue, failure: &Failure, service: &str) {
    let mut head = head(content_type.clone());
    status::write(failure, service, head.headers_mut());
    let _ = respond.send_response(head, true);
}

fn refuse(respond: &mut SendResponse<Bytes>, status: StatusCode) {
    let mut head = Response::new(());
    *head.status_mut() = status;
    let _ = respond.send_response(head, true);
}
