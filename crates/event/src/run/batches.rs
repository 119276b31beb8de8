use std::sync::Arc;
use std::time::Instant;

use micro_core::Context;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::job::{Answer, Held, Job};
use super::member::Member;
use super::screen::Screened;
use crate::failure::Failure;
use crate::subscribe::BatchHandler;

/// Collects and handles batches one after another, until the subscription is closed.
pub(crate) async fn work(member: Arc<Member>, slot: usize, handler: Arc<dyn BatchHandler>) {
    let mut answers = Vec::new();
    loop {
        member.hand_in(slot, answers);
        let batch = member.collect(slot).await;
        if batch.is_empty() {
            return;
        }
        answers = member.handle_batch(slot, batch, &*handler).await;
        tokio::task::consume_budget().await;
    }
}

impl Member {
    /// Hands in answers; from here on the worker counts as waiting.
    fn hand_in(self: &Arc<Self>, slot: usize, answers: Vec<Answer>) {
        let now = Instant::now();
        let (applied, batches) = {
            let mut state = self.lock();
            let took = state.back(slot, now);
            if !answers.is_empty() {
                self.measure.took(took);
            }
            let applied = state.apply_batch(answers, now);
            if state.parked > 0 {
                self.wake_one(&mut state);
            }
            state.suspend(slot, now);
            (applied, state.answers.take())
        };
        self.follow(applied, batches);
    }

    /// Collects a batch: until it is full, or its first message has waited long enough, or the subscription is closed.
    ///
    /// Empty only in the last case.
    async fn collect(self: &Arc<Self>, slot: usize) -> Vec<Job> {
        let (max, wait) = self.settings.batch;
        let mut batch = Vec::new();
        let mut until = None;
        let _one_at_a_time = self.shared.collecting.lock().await;
        self.lock().back(slot, Instant::now());
        loop {
            let now = Instant::now();
            let batches = {
                let mut state = self.lock();
                if !state.closed {
                    state.take_batch(slot, &mut batch, max, now);
                }
                if batch.len() >= max || state.closed {
                    self.wake_one(&mut state);
                    return batch;
                }
                state.active -= 1;
                state.parked += 1;
                state.answers.take()
            };
            self.send(batches);
            if !batch.is_empty() {
                until.get_or_insert(now + wait);
            }
            let woken = match until {
                None => self.rest().await,
                Some(until) => timeout_at(until.into(), self.rest()).await.unwrap_or(false),
            };
            if !woken {
                // Nobody counted this worker as active, unless a wake-up and the time came together.
                let mut state = self.lock();
                match self.shared.wake.try_acquire() {
                    Ok(permit) => permit.forget(),
                    Err(_) => {
                        state.parked -= 1;
                        state.active += 1;
                    }
                }
                if !batch.is_empty() {
                    return batch;
                }
            }
        }
    }

    async fn handle_batch(self: &Arc<Self>, slot: usize, jobs: Vec<Job>, handler: &dyn BatchHandler) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut batch: Vec<Held> = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.screen(job) {
                Screened::Handle(held) => batch.push(held),
                Screened::Skip(held) => answers.push(self.skip(held)),
                Screened::Dead(held, verdict) => answers.push(self.bury(slot, held, verdict).await),
            }
        }
        if batch.is_empty() {
            return answers;
        }
        let deadline = Instant::now() + self.settings.time_limit;
        let contexts: Vec<_> = batch.iter_mut().map(|held| self.context(held, deadline)).collect();
        let bodies = batch.iter().map(|held| held.parts().message.body.clone());
        let messages = contexts.iter().cloned().zip(bodies).collect();

        let context =
            Context::builder().service(self.service.clone()).endpoint(self.endpoint.clone()).deadline(deadline).build();
        let span = tracing::debug_span!("event.handle_batch", topic = %self.topic, events = batch.len());
        let call = handler.handle(context.clone(), messages).instrument(span);
        let results = match self.invoke(slot, &context, call, deadline).await {
            Ok(results) => results,
            Err(failure) => batch.iter().map(|_| Err(Failure::duplicate(&failure))).collect(),
        };
        for ((mut held, context), result) in batch.into_iter().zip(contexts).zip(results) {
            if result.is_err() {
                held.parts_mut().message.headers = context.metadata().clone();
            }
            answers.push(self.conclude(slot, held, result).await);
        }
        answers
    }
}
