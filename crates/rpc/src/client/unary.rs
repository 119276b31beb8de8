//! One message for one.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use micro_core::{Error, Kind, Result};
use tokio::time::{sleep_until, timeout_at};
use tracing::Span;

use super::answers::Answers;
use super::attempts::{self, Attempt, Failed, Undone};
use super::channel::Channel;
use super::connection::Lease;
use super::plan::Plan;
use super::progress::Progress;
use crate::trace;
use crate::wire::status;

/// Runs a unary call on this runtime and returns the body of the answer.
pub(super) async fn run(plan: &Plan) -> Result<Bytes> {
    let span = trace::client(&plan.target.service, &plan.target.endpoint, &plan.metadata);
    let mut call = pin!(within(plan, &Unary, None));
    let result = poll_fn(|cx| {
        let _entered = span.as_ref().map(Span::enter);
        call.as_mut().poll(cx)
    })
    .await;
    record(plan, result.as_ref().err());
    result
}

/// Runs the tries of a call within its time, or those after one that was undone.
pub(super) async fn within<A: Attempt>(plan: &Plan, attempt: &A, undone: Option<Undone>) -> Result<A::Answer> {
    let progress = Progress::default();
    let mut tries = pin!(attempts::run(plan, &progress, attempt, undone));
    let mut over = pin!(async {
        match plan.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    });
    poll_fn(|cx| match tries.as_mut().poll(cx) {
        Poll::Pending => over.as_mut().poll(cx).map(|()| Err(progress.timed_out(plan))),
        ready => ready,
    })
    .await
}

/// Counts a call.
pub(super) fn record(plan: &Plan, error: Option<&Error>) {
    let code = error.map_or(0, |error| match error.kind() {
        Kind::Cancelled => 1,
        Kind::NoNode => 14,
        _ => status::grpc_code(error.code()),
    });
    plan.target.measure.record(code, plan.began.elapsed());
}

struct Unary;

impl Attempt for Unary {
    type Answer = Bytes;

    const HEDGED: bool = true;

    async fn attempt(&self, plan: &Plan, address: &str, first: bool, progress: &Progress) -> Result<Bytes, Failed> {
        let channel = plan.client.pools.channel(address).map_err(Failed::not_run)?;
        let (lease, response, mut stream) = open(plan, &channel, first, progress).await?;
        // If it fails, the answer tells why.
        let _ = stream.send_data(plan.frame.clone(), true);
        progress.sent(lease.connection());
        let mut answers = Answers::new(response, plan.client.max_message_size, lease, None);
        let body = match answers.next().await {
            Ok(Some(body)) => body,
            Ok(None) => return Err(Failed::maybe_run(no_answer())),
            Err(error) if answers.surely_not_run() => return Err(Failed::not_run(error)),
            Err(error) => return Err(Failed::maybe_run(error)),
        };
        match answers.next().await {
            Ok(None) => Ok(body),
            Ok(Some(_)) => {
                let text = "the answer has more than one message; call this endpoint as a stream";
                Err(Failed::maybe_run(Error::new(Kind::Decode, text).id(status::CLIENT)))
            }
            Err(error) => Err(Failed::maybe_run(error)),
        }
    }
}

fn no_answer() -> Error {
    let text = "the call ended well but without an answer; the other side breaks the protocol";
    Error::new(Kind::Internal, text).id(status::CLIENT)
}

/// How many connections that turn out to be going away are passed over.
const PASSED_OVER: u32 = 3;

/// Sends the head of a request on a connection that takes it.
pub(super) async fn open(
    plan: &Plan,
    channel: &Arc<Channel>,
    first: bool,
    progress: &Progress,
) -> Result<(Lease, ResponseFuture, SendStream<Bytes>), Failed> {
    for _ in 0..PASSED_OVER {
        let lease = lease(plan, channel, progress).await.map_err(Failed::not_run)?;
        let request = plan.request(&channel.authority, first).map_err(Failed::not_run)?;
        match lease.send(request) {
            Ok((response, stream)) => return Ok((lease, response, stream)),
            // Nothing was sent: another connection, and no try is used up.
            Err(error) => tracing::debug!(node = %channel.address, %error, "a connection takes no calls"),
        }
    }
    let text = format!("{} takes connections but no calls; it may be stopping", channel.address);
    Err(Failed::not_run(Error::new(Kind::Unavailable, text).id(status::CLIENT)))
}

/// Waits for a connection, for no longer than leaves time for another node.
async fn lease(plan: &Plan, channel: &Arc<Channel>, progress: &Progress) -> Result<Lease> {
    let mut lease = pin!(channel.lease());
    // Nearly always there is one, and no clock is asked.
    if let Poll::Ready(lease) = poll_fn(|cx| Poll::Ready(lease.as_mut().poll(cx))).await {
        return lease;
    }
    let Some(until) = progress.connected_by(plan) else { return lease.await };
    // Boxed: a timer is large, and few calls wait.
    Box::pin(timeout_at(until, lease)).await.unwrap_or_else(|_| {
        let text = format!(
            "{} gave no connection in half of the call's time; see that the node runs and that the network leads there",
            channel.address
        );
        Err(Error::new(Kind::Unavailable, text).id(status::CLIENT))
    })
}

/// How long a stream may take to begin, where nothing else limits it.
pub(super) const OPENING: Duration = Duration::from_secs(30);
