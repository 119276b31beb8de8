//! Streams: opened where they are called, and carried there by a task of their own.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::{Reason, SendStream};
use micro_core::{Error, Kind, Result};
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::Answers;
use super::attempts::{Attempt, Failed, Undone};
use super::choose::Chosen;
use super::plan::Plan;
use super::progress::Progress;
use super::unary;
use crate::cores;
use crate::wire::outbox::{Outbox, Reader};
use crate::wire::pump::{Pump, Pumped};
use crate::wire::status::CLIENT;

/// A stream that is open.
pub(super) struct Opened {
    pub(super) outbox: Arc<Outbox>,
    pub(super) answers: Box<Answers>,
}

/// Opens a stream. With a first message the sending direction ends behind it.
pub(super) async fn open(plan: Plan) -> Result<Opened> {
    let plan = Arc::new(plan);
    let opened = within(&plan, None).await;
    unary::record(&plan, opened.as_ref().err());
    opened
}

async fn within(plan: &Arc<Plan>, undone: Option<Undone>) -> Result<Opened> {
    let open = Open { plan: plan.clone(), before: undone.as_ref().map_or(0, |undone| undone.tried + 1) };
    timeout(unary::OPENING, unary::within(plan, &open, undone)).await.unwrap_or_else(|_| {
        let text = format!("the stream {} could not be opened within {:?}", plan.target.endpoint, unary::OPENING);
        Err(Error::new(Kind::Timeout, text).id(CLIENT))
    })
}

/// What opens a stream at another node, if the one that has it turns out not to have begun it. Only one message was sent,
/// which the plan has.
pub(super) struct Again {
    plan: Arc<Plan>,
    at: Chosen,
    tried: u32,
}

impl Again {
    /// Opens it, after this refusal.
    pub(super) fn open(self, refusal: Error) -> BoxFuture<'static, Result<Box<Answers>>> {
        let Self { plan, at, tried } = self;
        let undone = Undone { failed: Failed::not_run(refusal), chosen: at, tried };
        Box::pin(cores::here(async move { within(&plan, Some(undone)).await.map(|opened| opened.answers) }))
    }
}

struct Open {
    plan: Arc<Plan>,
    /// Tries of an opening before this one.
    before: u32,
}

impl Attempt for Open {
    type Answer = Opened;

    const HEDGED: bool = false;

    async fn attempt(&self, plan: &Plan, address: &str, first: bool, progress: &Progress) -> Result<Opened, Failed> {
        let channel = plan.client.pools.channel(address).map_err(Failed::not_run)?;
        let (lease, response, stream) = unary::open(plan, &channel, first, progress).await?;
        let outbox = Arc::new(Outbox::default());
        if !plan.frame.is_empty() {
            outbox.put(&plan.frame);
            outbox.close();
        }
        let deadline = plan.deadline().map(|at| {
            let text = format!(
                "the stream {} of service {} did not end within {:?}",
                plan.target.endpoint,
                plan.target.service,
                plan.timeout.unwrap_or_default()
            );
            (at, Error::new(Kind::Timeout, text).id(CLIENT).with("node", address))
        });
        tokio::spawn(carry(stream, outbox.clone(), deadline));
        let answers = Answers::new(response, plan.client.max_message_size, lease, Some(outbox.clone()));
        let mut answers = Box::new(answers.counted(progress.take(), progress.leave()));
        if let Some((at, tried)) = progress.at().filter(|_| !plan.frame.is_empty()) {
            answers.again(Again { plan: self.plan.clone(), at, tried: self.before + tried });
        }
        Ok(Opened { outbox, answers })
    }
}

/// Carries the sending direction, and ends the call when its time is over or nobody reads the answers any longer.
async fn carry(mut stream: SendStream<Bytes>, outbox: Arc<Outbox>, deadline: Option<(Instant, Error)>) {
    let (at, error) = deadline.unzip();
    let mut over = pin!(async move {
        match at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    });
    let mut pump = Pump::default();
    let mut sent = false;
    let end = poll_fn(|cx| {
        if !sent {
            match pump.poll(&outbox, &mut stream, true, cx) {
                Poll::Ready(Pumped::End { .. }) => sent = true,
                Poll::Ready(Pumped::Broken) => return Poll::Ready(End::Broken),
                Poll::Pending => {}
            }
        }
        match outbox.poll_reader(cx) {
            Reader::Finished => return Poll::Ready(End::Broken),
            Reader::Gone => return Poll::Ready(End::Cancelled),
            Reader::Reading => {}
        }
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(End::Broken);
        }
        over.as_mut().poll(cx).map(|()| End::Over)
    })
    .await;
    match (end, error) {
        (End::Over, Some(error)) => {
            outbox.fail(error);
            stream.send_reset(Reason::CANCEL);
        }
        (End::Cancelled, _) => {
            outbox.fail(
                Error::new(Kind::Cancelled, "the call was cancelled: its answers are no longer received").id(CLIENT),
            );
            stream.send_reset(Reason::CANCEL);
        }
        _ => outbox.close(),
    }
}

enum End {
    /// The other side ended it, or the connection did; the reader hears how.
    Broken,
    Cancelled,
    Over,
}
