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
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request::Parts};
use tokio::time::sleep_until;
use tracing::Instrument;

use super::connection::Peer;
use super::dispatch::{self, Admitted, Deadline};
use super::handler::{self, Handler};
use super::stream_exchange;
use crate::trace;
use crate::wire::failure::Failure;
use crate::wire::messages::Messages;
use crate::wire::status;

pub(super) struct Exchange {
    peer: Arc<Peer>,
    head: Parts,
    body: RecvStream,
    respond: SendResponse<Bytes>,
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

impl Exchange {
    pub(super) fn new(peer: &Arc<Peer>, request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self { peer: peer.clone(), head, body, respond }
    }

    /// Runs the call, here or on the runtime the server was given for its handlers.
    pub(super) fn begin(self) {
        let runtime = self.peer.shared.options.handle().cloned();
        match runtime {
            Some(runtime) => runtime.spawn(self.run()),
            None => tokio::spawn(self.run()),
        };
    }

    async fn run(mut self) {
        let started = Instant::now();
        let stats = self.peer.shared.stats.clone();
        let _in_flight = stats.begin();
        let content_type = match dispatch::content_type(&self.head) {
            Ok(content_type) => content_type,
            Err(status) => return refuse(&mut self.respond, status),
        };
        let admitted = match dispatch::admit(&self.head, &content_type, &self.peer, started) {
            Ok(admitted) => admitted,
            Err(failure) => {
                stats.error();
                return fail(&mut self.respond, &content_type, &failure, self.peer.shared.options.name());
            }
        };
        let route = admitted.route.clone();
        let span = trace::server(&route.name, admitted.context.metadata(), &self.peer.remote);
        let service = self.peer.shared.options.shared_name().clone();
        let respond = &mut self.respond;
        let call = async {
            match &route.handler {
                Handler::Unary(_) => unary(respond, self.body, admitted).await,
                Handler::Stream(_) => stream_exchange::run(respond, self.body, admitted, &content_type, &service).await,
            }
        };
        let end = match span {
            Some(span) => call.instrument(span).await,
            None => call.await,
        };
        let code = match end {
            End::Answered(frame) => {
                answer(&mut self.respond, content_type, frame);
                0
            }
            End::Failed(failure) => {
                fail(&mut self.respond, &content_type, &failure, &service);
                failure.grpc()
            }
            End::Gone => 1,
            End::Streamed(code) => code,
        };
        if code != 0 {
            stats.error();
        }
        route.measure.record(code, started.elapsed());
    }
}

async fn unary(respond: &mut SendResponse<Bytes>, body: RecvStream, call: Admitted) -> End {
    let Admitted { route, codec, context, deadline } = call;
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
