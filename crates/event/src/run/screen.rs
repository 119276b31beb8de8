use std::time::Instant;

use micro_core::broker::{Reason, Settle};
use micro_core::context::EventInfo;
use micro_core::{Context, Error, Kind};

use super::job::{Answer, Held, Job, Verdict};
use super::member::Member;
use crate::failure::Failure;
use crate::headers;

/// What is to be done with a delivery before any handler sees it.
pub(crate) enum Screened {
    Handle(Held),
    /// It is meant for another queue.
    Skip(Held),
    /// It is given up.
    Dead(Held, Box<Verdict>),
}

impl Member {
    pub(crate) fn screen(&self, job: Job) -> Screened {
        let held = Held::new(job.delivery);
        if let Some(verdict) = job.verdict {
            return Screened::Dead(held, verdict);
        }
        let parts = held.parts();
        if let Some(queue) = parts.message.headers.get(headers::FOR_QUEUE)
            && self.identity.as_ref().is_none_or(|identity| identity.as_bytes() != queue)
        {
            return Screened::Skip(held);
        }
        // Deliveries that ended in a counted failure did not kill the process.
        let crashes = parts.deliveries.unwrap_or(0).saturating_sub(1).saturating_sub(parts.attempts);
        if crashes >= self.settings.max_crashes {
            let text = format!(
                "the message was delivered {crashes} times without an answer: it seems to kill the process that handles it"
            );
            let failure = Failure { error: Error::new(Kind::Internal, text), permanent: Some(Reason::Crash) };
            return Screened::Dead(held, Box::new(Verdict { reason: Reason::Crash, failure, tries: 0 }));
        }
        Screened::Handle(held)
    }

    pub(crate) fn skip(&self, held: Held) -> Answer {
        self.measure.skipped.increment(1);
        held.settle(Settle::Ack)
    }

    /// Makes the context of a handler; the headers move into it.
    pub(crate) fn context(&self, held: &mut Held, deadline: Instant) -> Context {
        let parts = held.parts_mut();
        let mut event = EventInfo::new();
        event.id = parts.id.clone();
        event.key = parts.message.key.clone();
        event.queue = parts.queue.clone();
        event.attempts = parts.attempts;
        event.deliveries = parts.deliveries;
        event.published = parts.published;
        event.position = parts.position;
        Context::builder()
            .service(self.service.clone())
            .endpoint(self.endpoint.clone())
            .headers(std::mem::take(&mut parts.message.headers))
            .deadline(deadline)
            .event(event)
            .build()
    }
}
