use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use micro_core::broker::{Broker, Capability, Delivery, Settle, Settlement, Settler, Token, Topic};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answers::{Answers, Batch, Unconfirmed};
use super::job::Job;
use super::measure::Measure;
use super::state::{Applied, Help, Move, State};
use super::{batches, worker};
use crate::subscribe::{Settings, Work};
use crate::watch::Observer;

/// One live subscription: what it is, and what its workers share.
pub(crate) struct Member {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) capability: Capability,
    pub(crate) topic: Topic,
    /// The queue's name or the subscriber's: whose dead letters these are.
    pub(crate) identity: Option<String>,
    pub(crate) service: Arc<str>,
    pub(crate) endpoint: Arc<str>,
    pub(crate) observers: Vec<Observer>,
    pub(crate) settings: Settings,
    pub(crate) work: Work,
    pub(crate) measure: Measure,
    pub(crate) shared: Shared,
}

/// What the workers of a subscription share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// A permit for each parked worker that shall wake up.
    pub(crate) wake: Semaphore,
    /// Says that the resident shall wake up.
    pub(crate) here: Here,
    /// The resident, until the pump takes it.
    resident: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Held by the worker that collects a batch.
    pub(crate) collecting: tokio::sync::Mutex<()>,
    /// Says that another waiting job is the earliest now.
    pub(crate) changed: Notify,
    closing: AtomicBool,
    workers: Mutex<JoinSet<()>>,
    unconfirmed: Mutex<Unconfirmed>,
}

/// Wakes the resident. The pump, which polls it next anyway, only leaves word: to wake the task that runs would have it
/// scheduled once more, and another thread woken to take it over.
#[derive(Default)]
pub(crate) struct Here {
    called: AtomicBool,
    waker: AtomicWaker,
}

impl Here {
    fn leave_word(&self) {
        self.called.store(true, Ordering::Release);
    }

    fn wake(&self) {
        self.leave_word();
        self.waker.wake();
    }

    async fn called(&self) {
        poll_fn(|task| {
            if self.called.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.waker.register(task.waker());
            if self.called.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Who calls for help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Pump,
    Worker,
}

impl Shared {
    /// Creates what is shared; with a `resident`, a worker may live in the pump's task.
    pub(crate) fn new(resident: bool) -> Self {
        Self {
            state: Mutex::new(State::new(resident)),
            wake: Semaphore::new(0),
            here: Here::default(),
            resident: Mutex::default(),
            collecting: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
            workers: Mutex::default(),
            unconfirmed: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    /// Tells whether the subscription is stopping: from then on nothing counts as a failure.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// Takes in what was pulled.
    pub(crate) fn push(self: &Arc<Self>, deliveries: Vec<Delivery>) {
        self.measure.in_flight.increment(deliveries.len() as f64);
        let mut state = self.lock();
        let mut help = state.push(deliveries, Instant::now(), self.concurrency());
        if help == Help::Nobody && state.parked > 0 && matches!(self.work, Work::Batch(_)) {
            // A parked collector waits for company even while others handle.
            help = state.help(self.concurrency());
        }
        drop(state);
        self.help(help, Caller::Pump);
    }

    /// Makes ready what is due.
    pub(crate) fn wake_due(self: &Arc<Self>) {
        let mut state = self.lock();
        state.wake_due(Instant::now());
        let help = state.help(self.concurrency());
        drop(state);
        self.help(help, Caller::Pump);
    }

    /// Wakes a worker if there is something for it.
    pub(crate) fn wake_one(self: &Arc<Self>, state: &mut State) {
        let help = state.help(self.concurrency());
        self.help(help, Caller::Worker);
    }

    fn help(self: &Arc<Self>, help: Help, caller: Caller) {
        match help {
            Help::Nobody => {}
            Help::Wake => self.shared.wake.add_permits(1),
            Help::WakeResident if caller == Caller::Pump => self.shared.here.leave_word(),
            Help::WakeResident => self.shared.here.wake(),
            Help::SpawnResident(slot) => {
                if let Work::Single(handler) = &self.work {
                    let resident = worker::work(Arc::clone(self), slot, Arc::clone(handler));
                    *lock(&self.shared.resident) = Some(Box::pin(resident));
                    // The pump looks for it.
                    self.shared.changed.notify_one();
                }
            }
            Help::Spawn(slot) => {
                let member = Arc::clone(self);
                let mut workers = lock(&self.shared.workers);
                match &self.work {
                    Work::Single(handler) => workers.spawn(worker::work(member, slot, Arc::clone(handler))),
                    Work::Batch(handler) => workers.spawn(batches::work(member, slot, Arc::clone(handler))),
                };
            }
        }
    }

    /// Lets others go on while this worker waits for something.
    pub(crate) fn suspend(self: &Arc<Self>, slot: usize) {
        let batches = {
            let mut state = self.lock();
            state.suspend(slot, Instant::now());
            self.wake_one(&mut state);
            state.answers.take()
        };
        self.send(batches);
    }

    /// Does what follows from answers, after the lock was let go.
    pub(crate) fn follow(&self, applied: Applied, batches: Vec<Batch>) {
        if applied.sooner {
            self.shared.changed.notify_one();
        }
        self.send(batches);
        self.release(applied.released);
    }

    /// Sends answers to the broker.
    pub(crate) fn send(&self, batches: Vec<Batch>) {
        for batch in batches {
            self.measure.in_flight.decrement(batch.len() as f64);
            let settled = batch.send();
            lock(&self.shared.unconfirmed).push(&self.endpoint, settled);
        }
    }

    /// Sleeps until there is something to do; `false` once the subscription is closed. Cancel-safe.
    pub(crate) async fn rest(&self) -> bool {
        match self.shared.wake.acquire().await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Sleeps until there is something to do, or the subscription is closed: the resident's rest.
    pub(crate) async fn rest_here(&self) {
        self.shared.here.called().await;
    }

    /// Hands over the resident, once it is made.
    pub(crate) fn resident(&self) -> Option<BoxFuture<'static, ()>> {
        lock(&self.shared.resident).take()
    }

    /// Gives the resident a task of its own. One that sleeps is given back, unless it must go.
    pub(crate) fn move_out(&self, resident: BoxFuture<'static, ()>, must: bool) -> Option<BoxFuture<'static, ()>> {
        match self.lock().move_out(must) {
            Move::Stay => return Some(resident),
            Move::Out => {}
            Move::WokenOut => self.shared.here.wake(),
        }
        lock(&self.shared.workers).spawn(resident);
        None
    }

    /// Says that what is here is still at work.
    pub(crate) fn extend(&self, settler: &Arc<dyn Settler>) {
        lock(&self.shared.unconfirmed).sweep(&self.endpoint);
        let tokens: Vec<Token> = self.lock().held(Instant::now(), self.settings.time_limit);
        if !tokens.is_empty() {
            settler.extend(&tokens);
        }
    }

    /// Returns how many deliveries are here, whether a handler has them or they wait for one.
    pub(crate) fn in_hand(&self) -> usize {
        self.lock().in_hand()
    }

    /// Ends the taking of work, releases what no handler has, and returns the workers that are still at it.
    pub(crate) fn close(&self) -> JoinSet<()> {
        self.shared.closing.store(true, Ordering::Release);
        let (jobs, batches) = self.lock().close();
        self.send(batches);
        self.release(jobs);
        self.shared.wake.close();
        self.shared.here.wake();
        std::mem::take(&mut *lock(&self.shared.workers))
    }

    /// Looks at the last confirmations, and takes from the gauge what aborted handlers released.
    pub(crate) fn gone(&self) {
        lock(&self.shared.unconfirmed).sweep(&self.endpoint);
        let unanswered = self.lock().unanswered();
        self.measure.in_flight.decrement(unanswered as f64);
        self.measure.behind.set(0.0);
    }

    /// Gives jobs back, in one call to the broker.
    pub(crate) fn release(&self, jobs: Vec<Job>) {
        let mut answers = Answers::default();
        let now = Instant::now();
        for mut job in jobs {
            let parts = job.delivery.parts();
            answers.push(&parts.origin.settler, Settlement::new(parts.token, Settle::Release, parts.attempts), now);
            self.measure.released.increment(1);
            job.delivery.disarm();
        }
        self.send(answers.take());
    }
}
