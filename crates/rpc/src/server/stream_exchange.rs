//! One streaming call: the handler writes into an outbox, and what is there goes out whenever the handler waits.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use micro_core::{Error, Kind};

use super::dispatch::Admitted;
use super::exchange::{End, Exchange, head, over, panicked};
use super::handler::Handler;
use crate::stream::Source;
use crate::wire::failure::Failure;
use crate::wire::messages::Messages;
use crate::wire::outbox::Outbox;
use crate::wire::pump::{Pump, Pumped};
use crate::wire::status;

/// Tells senders that outlive their handler that nobody hears them.
struct Hangup(Arc<Outbox>);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.fail(Error::new(Kind::Cancelled, "the call is over; what is sent on it now reaches nobody"));
    }
}

pub(super) async fn run(exchange: &mut Exchange, body: RecvStream, call: Admitted) -> End {
    let Exchange { respond, content_type, service, .. } = exchange;
    let Admitted { route, codec, context, deadline, .. } = call;
    let Handler::Stream(run) = &route.handler else { return End::Gone };
    let outbox = Hangup(Arc::new(Outbox::default()));
    let source = Source::server(Messages::new(body, codec.limit));
    let mut work = pin!(context.clone().scope(async { run(context, codec, source, outbox.0.clone()).await }));
    let mut over = pin!(over(deadline));
    let mut result = None;
    let mut stream = None;
    let mut pump = Pump::default();
    poll_fn(|cx| {
        if result.is_none() {
            result = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(Poll::Ready(result)) => Some(result),
                Ok(Poll::Pending) => None,
                Err(panic) => Some(Err(panicked(&route.name, &*panic))),
            };
            if result.is_some() {
                outbox.0.close();
            }
        }
        // A handler that fails before its first message is answered by trailers alone; one that waits has its head sent,
        // which some clients wait for.
        if stream.is_none() {
            if matches!(result, Some(Err(_))) && !outbox.0.has_data() {
                return Poll::Ready(result.take().and_then(Result::err).map_or(End::Gone, End::Failed));
            }
            match respond.send_response(head(content_type.clone()), false) {
                Ok(opened) => stream = Some(opened),
                Err(_) => return Poll::Ready(End::Gone),
            }
        }
        let Some(open) = &mut stream else { return Poll::Ready(End::Gone) };
        match pump.poll(&outbox.0, open, false, cx) {
            Poll::Ready(Pumped::End { .. }) => return Poll::Ready(finish(open, result.take(), service)),
            Poll::Ready(Pumped::Broken) => return Poll::Ready(End::Gone),
            Poll::Pending => {}
        }
        if open.poll_reset(cx).is_ready() {
            return Poll::Ready(End::Gone);
        }
        match over.as_mut().poll(cx) {
            Poll::Ready(deadline) => Poll::Ready(finish(open, Some(Err(deadline.failure(&route.name))), service)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn finish(stream: &mut SendStream<Bytes>, result: Option<Result<(), Failure>>, service: &str) -> End {
    let (trailers, code) = match result {
        Some(Err(failure)) => {
            let mut trailers = HeaderMap::with_capacity(3);
            status::write(&failure, service, &mut trailers);
            (trailers, failure.grpc())
        }
        _ => (status::ok(), 0),
    };
    match stream.send_trailers(trailers) {
        Ok(()) => End::Streamed(code),
        Err(_) => End::Gone,
    }
}
