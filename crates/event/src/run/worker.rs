use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use micro_core::Context;
use micro_core::broker::{Settle, Settlement, Settler, Token};
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::job::{Answer, Job};
use super::measure::Measure;
use super::member::Member;
use super::screen::{Screened, fill, give_back};
use super::state::HEAVY;
use crate::failure::Failure;
use crate::subscribe::{Handler, Place};

/// So many handlers that return at once are timed together.
const UNTIMED: u32 = 4;
/// So long a worker goes on before others on its thread have their turn.
const TURN: Duration = Duration::from_millis(1);

/// What a worker took and what became of it, until that is handed in: many messages for one lock and one call to the
/// broker, as long as handlers return at once.
pub(crate) struct Run {
    pub(crate) jobs: Vec<Job>,
    /// How many of them are behind it.
    pub(crate) begun: usize,
    /// Acknowledgements, all for one settler, and the keys whose lanes they held.
    pub(crate) settler: Option<Arc<dyn Settler>>,
    pub(crate) settled: Vec<Settlement>,
    pub(crate) keys: Vec<Bytes>,
    /// What else became of the last one.
    pub(crate) answer: Option<Answer>,
    /// Handlers since the last look at the clock.
    untimed: u32,
    /// Handlers that returned at once, and what ended their row.
    pub(crate) light: u32,
    pub(crate) end: Option<Ended>,
    /// The last look at the clock.
    pub(crate) now: Instant,
    /// When this worker had the thread for itself the last time.
    turn: Instant,
}

/// What ends a row of handlers that returned at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// One kept its thread.
    Heavy,
    /// One had to wait.
    Waited,
}

impl Run {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            jobs: Vec::new(),
            begun: 0,
            untimed: 0,
            settler: None,
            settled: Vec::new(),
            keys: Vec::new(),
            answer: None,
            light: 0,
            end: None,
            now,
            turn: now,
        }
    }

    /// Forgets the jobs that are behind it.
    pub(crate) fn clear(&mut self) {
        debug_assert_eq!(self.begun, self.jobs.len(), "what was not begun is given back");
        self.jobs.clear();
        self.begun = 0;
    }

    /// Notes that the handler of the next job returned at once, and looks at the clock now and then.
    fn note(&mut self, measure: &Measure) {
        self.light += 1;
        self.untimed += 1;
        if self.untimed < UNTIMED && self.begun + 1 < self.jobs.len() {
            return;
        }
        let began = std::mem::replace(&mut self.now, Instant::now());
        let took = self.now.saturating_duration_since(began);
        let count = std::mem::take(&mut self.untimed);
        if took > HEAVY {
            // It was one of them, most likely.
            measure.took(took, 1);
            measure.took(Duration::ZERO, count - 1);
            (self.light, self.end) = (self.light - 1, Some(Ended::Heavy));
        } else {
            measure.took(took / count, count);
        }
    }

    /// Acknowledges the next job, where it lies; `false` if that must go another way.
    fn acknowledge(&mut self) -> bool {
        let Some(job) = self.jobs.get_mut(self.begun) else { return false };
        let parts = job.delivery.parts_mut();
        let settler = self.settler.get_or_insert_with(|| Arc::clone(&parts.origin.settler));
        if !Arc::ptr_eq(settler, &parts.origin.settler) {
            if !self.settled.is_empty() {
                return false;
            }
            settler.clone_from(&parts.origin.settler);
        }
        self.settled.push(Settlement::new(parts.token, Settle::Ack, parts.attempts));
        self.keys.extend(parts.message.key.take());
        job.delivery.disarm();
        self.begun += 1;
        true
    }
}

/// What was acknowledged must not be lost when its worker is aborted.
impl Drop for Run {
    fn drop(&mut self) {
        if let Some(settler) = &self.settler
            && !self.settled.is_empty()
        {
            drop(settler.settle(std::mem::take(&mut self.settled)));
        }
    }
}

/// Handles messages one after another, until the subscription is closed.
pub(crate) async fn work(member: Arc<Member>, slot: usize, handler: Arc<dyn Handler>) {
    let mut place = handler.place();
    let mut run = Run::new();
    let mut context = member.empty_context();
    loop {
        match member.next(slot, &mut run) {
            Next::Jobs => member.handle(slot, &mut run, &mut context, &mut *place).await,
            Next::Rest => {
                member.rest().await;
                run.turn = Instant::now();
            }
            Next::RestHere => {
                member.rest_here().await;
                run.turn = Instant::now();
            }
            Next::Stop => return,
        }
    }
}

enum Next {
    Jobs,
    Rest,
    /// The same, in the pump's task.
    RestHere,
    Stop,
}

impl Member {
    /// Hands in what was done and takes the next jobs, with one lock.
    fn next(self: &Arc<Self>, slot: usize, run: &mut Run) -> Next {
        run.now = Instant::now();
        let (next, applied, batches) = {
            let mut state = self.lock();
            state.back(slot);
            let applied = state.hand_in(run);
            if state.closed {
                (Next::Stop, applied, state.answers.take())
            } else if state.take(slot, run) {
                if state.is_heavy() {
                    self.wake_one(&mut state);
                }
                (Next::Jobs, applied, state.answers.take_due(run.now))
            } else {
                let rest = if state.park(slot) { Next::RestHere } else { Next::Rest };
                (rest, applied, state.answers.take())
            }
        };
        self.follow(applied, batches);
        next
    }

    /// Takes the next job out of a run; what was done is handed in, and what was not begun given back, because this one
    /// will take its time.
    fn single_out(self: &Arc<Self>, slot: usize, run: &mut Run) -> Option<Job> {
        let job = (run.begun < run.jobs.len()).then(|| run.jobs.remove(run.begun))?;
        self.give_back(slot, run, Some(job.delivery.token()));
        Some(job)
    }

    /// Hands in what was done, and gives back what was not begun; one job may be kept.
    fn give_back(self: &Arc<Self>, slot: usize, run: &mut Run, kept: Option<Token>) {
        if run.jobs.is_empty() {
            return;
        }
        let (applied, batches) = {
            let mut state = self.lock();
            let applied = state.give_back(slot, run, kept);
            (applied, state.answers.take_due(run.now))
        };
        self.follow(applied, batches);
    }

    fn acknowledge(self: &Arc<Self>, run: &mut Run) {
        if !run.acknowledge() {
            let (applied, batches) = {
                let mut state = self.lock();
                (state.hand_in(run), state.answers.take())
            };
            self.follow(applied, batches);
            run.acknowledge();
        }
    }

    /// Handles the jobs of a run: all of them, unless one takes its time.
    async fn handle(self: &Arc<Self>, slot: usize, run: &mut Run, context: &mut Context, place: &mut dyn Place) {
        loop {
            // Handlers that never wait must not keep the thread for themselves.
            if run.now.saturating_duration_since(run.turn) > TURN || !has_budget_remaining() {
                yield_now().await;
                run.now = Instant::now();
                run.turn = run.now;
            }
            if self.is_closing() {
                return self.give_back(slot, run, None);
            }
            let Some(job) = run.jobs.get_mut(run.begun) else { return };
            match self.screen(job) {
                Screened::Handle => {}
                Screened::Skip => {
                    self.measure.skipped.increment(1);
                    self.acknowledge(run);
                    continue;
                }
                Screened::Dead(verdict) => {
                    let Some(job) = self.single_out(slot, run) else { return };
                    run.answer = Some(self.bury(slot, job, verdict).await);
                    return;
                }
            }
            let began = run.now;
            let deadline = began + self.settings.time_limit;
            fill(context, job, deadline);
            let context = &*context;
            let mut body = Some(job.delivery.body().clone());
            let span = self.span(job, context);
            let (mut job, done) = {
                let call = poll_fn(|task| {
                    let _entered = (!span.is_disabled()).then(|| span.enter());
                    if let Some(body) = body.take() {
                        place.call(context, body)?;
                    }
                    place.poll(task)
                });
                let mut call = pin!(context.clone().scope(AssertUnwindSafe(call).catch_unwind()));
                let done = match futures_util::poll!(call.as_mut()) {
                    Poll::Ready(done) => {
                        run.note(&self.measure);
                        if matches!(done, Ok(Ok(()))) {
                            self.measure.ok.increment(1);
                            self.acknowledge(run);
                            if run.end.is_some() {
                                return self.give_back(slot, run, None);
                            }
                            continue;
                        }
                        Some(done)
                    }
                    Poll::Pending => {
                        run.end = Some(Ended::Waited);
                        run.untimed = 0;
                        None
                    }
                };
                let Some(job) = self.single_out(slot, run) else { return };
                let done = match done {
                    Some(done) => Ok(done),
                    None => {
                        self.suspend(slot);
                        let done = timeout_at(deadline, call.as_mut()).await;
                        self.measure.took(began.elapsed(), 1);
                        done
                    }
                };
                (job, done)
            };
            let result = match done {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(Failure::panicked(&*panic)),
                Err(_) => Err(Failure::late(self.settings.time_limit)),
            };
            if result.is_err() {
                give_back(&mut job, context);
            }
            // One that panicked or was late is there still.
            let cleared = catch_unwind(AssertUnwindSafe(|| place.clear()));
            if let Err(panic) = cleared {
                tracing::error!(topic = %self.topic, error = %Failure::panicked(&*panic).error, "a handler panicked while it was dropped");
            }
            run.answer = Some(self.conclude(slot, job, result).await);
            return;
        }
    }

    fn span(&self, job: &Job, context: &Context) -> tracing::Span {
        tracing::debug_span!(
            "event.handle",
            topic = %self.topic,
            id = %String::from_utf8_lossy(context.event().map(|event| &event.id[..]).unwrap_or_default()),
            attempts = job.delivery.attempts(),
            traceparent = context.metadata().get_str("traceparent"),
        )
    }
}
