use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Reason, Settle};
use micro_core::{Error, Kind, Result};
use tokio::time::{Instant, timeout};

use super::job::{Answer, Job, Verdict};
use super::member::Member;
use crate::dead_letter;
use crate::failure::Failure;
use crate::watch::{AfterFailure, HandlerFailure};

/// How long the publish of a dead letter may take.
const DEAD_LETTER_LIMIT: Duration = Duration::from_secs(10);

impl Member {
    /// Decides what becomes of a delivery after its handler.
    pub(crate) async fn conclude(self: &Arc<Self>, slot: usize, mut job: Job, result: Result<(), Failure>) -> Answer {
        let failure = match result {
            Ok(()) => {
                self.measure.ok.increment(1);
                return job.settle(Settle::Ack);
            }
            Err(failure) => failure,
        };
        // While stopping, a handler may fail only because what it needs is stopping too.
        if self.is_closing() {
            self.measure.released.increment(1);
            return job.settle(Settle::Release);
        }
        let parts = job.delivery.parts_mut();
        if failure.permanent != Some(Reason::Decode) {
            parts.attempts = parts.attempts.saturating_add(1);
        }
        let pause = match failure.permanent {
            Some(_) => None,
            None => self.settings.retry.pause(parts.attempts, &failure.error),
        };
        let Some(pause) = pause else {
            let reason = failure.permanent.unwrap_or(Reason::Failed);
            return self.bury(slot, job, Box::new(Verdict { reason, failure, tries: 0 })).await;
        };
        self.measure.retried.increment(1);
        tracing::warn!(
            topic = %self.topic,
            queue = self.identity.as_deref(),
            id = %String::from_utf8_lossy(&parts.id),
            attempts = parts.attempts,
            error = %failure.error,
            "the handler failed; trying again in {pause:?}"
        );
        self.tell(&job, &failure.error, AfterFailure::Retry(pause));
        // Where the server forgets the count, or its pause would let the key's later messages pass, it waits here.
        if self.capability.retry && self.capability.attempts && !self.settings.ordered {
            job.settle(Settle::Retry(pause))
        } else {
            job.wait(Instant::now() + pause, None, self.settings.ordered)
        }
    }

    /// Gives a message up: to the dead letters if it has any, and only then is it settled.
    pub(crate) async fn bury(self: &Arc<Self>, slot: usize, job: Job, mut verdict: Box<Verdict>) -> Answer {
        if self.is_closing() {
            self.measure.released.increment(1);
            return job.settle(Settle::Release);
        }
        let reason = verdict.reason;
        let kept = self.settings.dead_letter && self.identity.is_some();
        if verdict.tries == 0 {
            let next = if kept { AfterFailure::DeadLetter(reason) } else { AfterFailure::Dropped(reason) };
            self.tell(&job, &verdict.failure.error, next);
        }
        let Some(identity) = self.identity.as_deref().filter(|_| kept) else {
            self.report(&job, &verdict, "the message is given up; it is not kept, as there are no dead letters here");
            self.measure.dropped.increment(1);
            // Where the server has dead letters of its own, a rejected message would go there against the wish.
            return job.settle(if self.capability.dead_letter { Settle::Ack } else { Settle::Reject(reason) });
        };
        if self.capability.dead_letter {
            self.report(&job, &verdict, "the message is given up, to the broker's own dead letters");
            self.measure.dead.increment(1);
            return job.settle(Settle::Reject(reason));
        }
        self.suspend(slot);
        let letter = dead_letter::write(job.delivery.parts(), identity, reason, &verdict.failure.error);
        let topic = self.topic.dead();
        let published = timeout(DEAD_LETTER_LIMIT, async {
            self.broker.ready().await?;
            self.broker.publish(&topic, vec![letter]).first().await
        });
        let published = published.await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, format!("the broker did not confirm it within {DEAD_LETTER_LIMIT:?}")))
        });
        match published {
            Ok(_) => {
                self.report(&job, &verdict, "the message is given up; it is kept as a dead letter");
                self.measure.dead.increment(1);
                job.settle(Settle::Ack)
            }
            Err(error) => {
                verdict.tries += 1;
                let pause = self.settings.retry.backoff(verdict.tries);
                tracing::warn!(
                    topic = %self.topic, %error,
                    "the dead letter could not be published; the message is kept, trying again in {pause:?}"
                );
                self.tell(&job, &error, AfterFailure::DeadLetterLater(pause));
                job.wait(Instant::now() + pause, Some(verdict), self.settings.ordered)
            }
        }
    }

    /// Tells those who asked to hear of failures.
    fn tell(&self, job: &Job, error: &Error, next: AfterFailure) {
        if self.observers.is_empty() {
            return;
        }
        let subscriber = self.identity.as_deref();
        let told = HandlerFailure { delivery: job.delivery.parts(), subscriber, error, next };
        for observer in &self.observers {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(&told))) {
                tracing::error!(topic = %self.topic, error = %Failure::panicked(&*panic).error, "on_failure panicked");
            }
        }
    }

    fn report(&self, job: &Job, verdict: &Verdict, text: &str) {
        let parts = job.delivery.parts();
        tracing::error!(
            topic = %self.topic,
            queue = self.identity.as_deref(),
            id = %String::from_utf8_lossy(&parts.id),
            reason = %verdict.reason,
            attempts = parts.attempts,
            error = %verdict.failure.error,
            "{text}"
        );
    }
}
