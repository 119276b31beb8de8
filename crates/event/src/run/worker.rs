use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::FutureExt;
use micro_core::Context;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::job::{Answer, Held, Job};
use super::member::Member;
use super::screen::Screened;
use super::state::Applied;
use crate::failure::Failure;
use crate::subscribe::Handler;

/// Handles messages one after another, until the subscription is closed.
pub(crate) async fn work(member: Arc<Member>, slot: usize, handler: Arc<dyn Handler>) {
    let mut answer = None;
    loop {
        match member.next(slot, answer.take()) {
            Next::Job(job, now) => answer = Some(member.handle(slot, job, now, &*handler).await),
            Next::Rest => _ = member.rest().await,
            Next::RestHere => member.rest_here().await,
            Next::Stop => return,
        }
        // A handler that never waits must not keep the thread for itself.
        tokio::task::consume_budget().await;
    }
}

enum Next {
    Job(Job, Instant),
    Rest,
    /// The same, in the pump's task.
    RestHere,
    Stop,
}

impl Member {
    /// Hands in an answer and takes the next job, with one lock.
    fn next(self: &Arc<Self>, slot: usize, answer: Option<Answer>) -> Next {
        let now = Instant::now();
        let mut applied = Applied::default();
        let (next, batches) = {
            let mut state = self.lock();
            if let Some(answer) = answer {
                self.measure.took(state.back(slot, now));
                applied = state.apply(answer, now);
            }
            if state.closed {
                (Next::Stop, state.answers.take())
            } else if let Some(job) = state.take(slot, now) {
                if state.is_heavy() {
                    self.wake_one(&mut state);
                }
                (Next::Job(job, now), state.answers.take_due(now))
            } else {
                let rest = if state.park(slot) { Next::RestHere } else { Next::Rest };
                (rest, state.answers.take())
            }
        };
        self.follow(applied, batches);
        next
    }

    async fn handle(self: &Arc<Self>, slot: usize, job: Job, now: Instant, handler: &dyn Handler) -> Answer {
        let mut held = match self.screen(job) {
            Screened::Handle(held) => held,
            Screened::Skip(held) => return self.skip(held),
            Screened::Dead(held, verdict) => return self.bury(slot, held, verdict).await,
        };
        let deadline = now + self.settings.time_limit;
        let context = self.context(&mut held, deadline);
        let call = handler.handle(context.clone(), held.parts().message.body.clone());
        let span = self.span(&held, &context);
        let result = self.invoke(slot, &context, call.instrument(span), deadline).await.and_then(|result| result);
        if result.is_err() {
            // The headers went into the context; a failed message needs them again.
            held.parts_mut().message.headers = context.metadata().clone();
        }
        self.conclude(slot, held, result).await
    }

    /// Runs a handler: a panic and a time-out are failures.
    pub(crate) async fn invoke<T>(
        self: &Arc<Self>,
        slot: usize,
        context: &Context,
        call: impl Future<Output = T>,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let mut call = pin!(context.clone().scope(AssertUnwindSafe(call).catch_unwind()));
        let done = match futures_util::poll!(call.as_mut()) {
            Poll::Ready(done) => Ok(done),
            Poll::Pending => {
                self.suspend(slot);
                timeout_at(deadline.into(), call).await
            }
        };
        match done {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => Err(Failure::panicked(&*panic)),
            Err(_) => Err(Failure::late(self.settings.time_limit)),
        }
    }

    fn span(&self, held: &Held, context: &Context) -> tracing::Span {
        let parts = held.parts();
        tracing::debug_span!(
            "event.handle",
            topic = %self.topic,
            id = %String::from_utf8_lossy(&parts.id),
            attempts = parts.attempts,
            traceparent = context.metadata().get_str("traceparent"),
        )
    }
}
