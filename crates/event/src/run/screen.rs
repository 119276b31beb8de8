use micro_core::broker::{Reason, Settle};
use micro_core::{Context, Error, Kind};
use tokio::time::Instant;

use super::job::{Answer, Job, Verdict};
use super::member::Member;
use crate::failure::Failure;
use crate::headers;

/// What is to be done with a delivery before any handler sees it.
pub(crate) enum Screened {
    Handle,
    /// It is meant for another queue.
    Skip,
    /// It is given up.
    Dead(Box<Verdict>),
}

impl Member {
    pub(crate) fn screen(&self, job: &mut Job) -> Screened {
        if let Some(verdict) = job.verdict.take() {
            return Screened::Dead(verdict);
        }
        let parts = job.delivery.parts();
        if let Some(queue) = parts.message.headers.get(headers::FOR_QUEUE)
            && self.identity.as_ref().is_none_or(|identity| identity.as_bytes() != queue)
        {
            return Screened::Skip;
        }
        // Deliveries that ended in a counted failure did not kill the process.
        let crashes = parts.deliveries.unwrap_or(0).saturating_sub(1).saturating_sub(parts.attempts);
        if crashes >= self.settings.max_crashes {
            let text = format!(
                "the message was delivered {crashes} times without an answer: it seems to kill the process that handles it"
            );
            let failure = Failure { error: Error::new(Kind::Internal, text), permanent: Some(Reason::Crash) };
            return Screened::Dead(Box::new(Verdict { reason: Reason::Crash, failure, tries: 0 }));
        }
        Screened::Handle
    }

    pub(crate) fn skip(&self, job: Job) -> Answer {
        self.measure.skipped.increment(1);
        job.settle(Settle::Ack)
    }

    /// Makes the context that a worker uses again and again.
    pub(crate) fn empty_context(&self) -> Context {
        Context::builder().service(self.service.clone()).endpoint(self.endpoint.clone()).build()
    }
}

/// Makes the context of a handler; headers and id move into it, until they are [given back](give_back).
pub(crate) fn fill(context: &mut Context, job: &mut Job, deadline: Instant) {
    let parts = job.delivery.parts_mut();
    context.next_event(deadline.into_std(), std::mem::take(&mut parts.message.headers), |event| {
        event.id = std::mem::take(&mut parts.id);
        event.key.clone_from(&parts.message.key);
        if event.queue != parts.origin.queue {
            event.queue.clone_from(&parts.origin.queue);
        }
        event.attempts = parts.attempts;
        event.deliveries = parts.deliveries;
        event.published = parts.published;
        event.position = parts.position;
    });
}

/// Gives a delivery what its context took: one that failed needs it again.
pub(crate) fn give_back(job: &mut Job, context: &Context) {
    let parts = job.delivery.parts_mut();
    parts.message.headers = context.metadata().clone();
    parts.id = context.event().map(|event| event.id.clone()).unwrap_or_default();
}
