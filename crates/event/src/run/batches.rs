use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use micro_core::Context;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::job::{Answer, Job};
use super::member::Member;
use super::screen::Screened;
use super::state::Applied;
use crate::failure::Failure;
use crate::subscribe::BatchHandler;

/// Collects and handles batches one after another, until the subscription is closed.
pub(crate) async fn work(member: Arc<Member>, slot: usize, handler: Arc<dyn BatchHandler>) {
    let mut done = Done::Nothing;
    loop {
        member.hand_in(slot, done);
        // Nothing is in hand here: what was handled stays acknowledged if this worker is aborted.
        tokio::task::consume_budget().await;
        let batch = member.collect(slot).await;
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        done = member.handle_batch(slot, batch, &*handler).await;
        member.measure.took(began.elapsed(), 1);
    }
}

/// What became of a batch.
enum Done {
    Nothing,
    /// All of it is done.
    All(Vec<Job>),
    Each(Vec<Answer>),
}

impl Member {
    /// Hands in answers; from here on the worker counts as waiting.
    fn hand_in(self: &Arc<Self>, slot: usize, done: Done) {
        let now = Instant::now();
        let (applied, batches) = {
            let mut state = self.lock();
            state.back(slot);
            let applied = match done {
                Done::Nothing => Applied::default(),
                Done::All(jobs) => {
                    state.acknowledge(jobs, now);
                    Applied::default()
                }
                Done::Each(answers) => state.apply_batch(answers, now),
            };
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
        self.lock().back(slot);
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
                Some(until) => timeout_at(until, self.rest()).await.unwrap_or(false),
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

    async fn handle_batch(self: &Arc<Self>, slot: usize, mut jobs: Vec<Job>, handler: &dyn BatchHandler) -> Done {
        let mut answers = Vec::new();
        let mut place = 0;
        while place < jobs.len() {
            match self.screen(&mut jobs[place]) {
                Screened::Handle => place += 1,
                Screened::Skip => answers.push(self.skip(jobs.remove(place))),
                Screened::Dead(verdict) => answers.push(self.bury(slot, jobs.remove(place), verdict).await),
            }
        }
        if jobs.is_empty() {
            return Done::Each(answers);
        }
        let deadline = Instant::now() + self.settings.time_limit;
        let context = Context::builder()
            .service(self.service.clone())
            .endpoint(self.endpoint.clone())
            .deadline(deadline.into_std())
            .build();
        let span = tracing::debug_span!("event.handle_batch", topic = %self.topic, events = jobs.len());
        let call = handler.handle(context.clone(), &jobs).instrument(span);
        let results = match self.invoke(slot, &context, call, deadline).await {
            Ok(results) => results,
            Err(failure) => jobs.iter().map(|_| Err(Failure::duplicate(&failure))).collect(),
        };
        if answers.is_empty() && results.iter().all(Result::is_ok) {
            self.measure.ok.increment(jobs.len() as u64);
            return Done::All(jobs);
        }
        for (job, result) in jobs.into_iter().zip(results) {
            answers.push(self.conclude(slot, job, result).await);
        }
        Done::Each(answers)
    }

    /// Runs a handler: a panic and a time-out are failures.
    async fn invoke<T>(
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
                timeout_at(deadline, call).await
            }
        };
        match done {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => Err(Failure::panicked(&*panic)),
            Err(_) => Err(Failure::late(self.settings.time_limit)),
        }
    }
}
