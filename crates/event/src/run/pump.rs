use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use micro_core::broker::{Settler, Start, SubscribeOptions, Subscription};
use micro_core::{Error, Kind, Result};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};

use super::behind::Behind;
use super::member::Member;
use crate::subscribe::Command;

/// So many deliveries are pulled at once, at most.
const PULL: usize = 256;
/// A turn of the worker in the pump's task that takes longer ends its living there: some handler keeps its thread.
const TURN: Duration = Duration::from_millis(10);
/// How long handlers may go on when nobody said so: the handle was dropped, or the broker disconnected.
const UNASKED_DRAIN: Duration = Duration::from_secs(10);
/// How long the broker may take to leave the queue.
const LEAVE: Duration = Duration::from_secs(10);
/// Pauses between tries to subscribe again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Pulls the deliveries of one subscription and feeds its workers.
pub(crate) struct Pump {
    pub(crate) member: Arc<Member>,
    pub(crate) subscription: Box<dyn Subscription>,
    pub(crate) options: SubscribeOptions,
    pub(crate) stop: watch::Receiver<Option<Instant>>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) settler: Option<Arc<dyn Settler>>,
    /// A worker that lives in this task.
    pub(crate) resident: Option<BoxFuture<'static, ()>>,
}

/// Why pulling ended.
enum End {
    /// With the time until which handlers may go on.
    Stopped(Instant),
    Failed(Error),
}

impl Pump {
    /// Works until it is stopped, or the broker is.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            let end = match self.pull().await {
                End::Failed(error) => self.subscribe_again(error).await,
                stopped => Some(stopped),
            };
            match end {
                Some(End::Stopped(deadline)) => return self.drain(deadline).await,
                Some(End::Failed(error)) => {
                    return self.drain(Instant::now() + UNASKED_DRAIN).await.and(Err(error));
                }
                None => {}
            }
        }
    }

    async fn pull(&mut self) -> End {
        let period = (self.options.lease / 3).max(Duration::from_millis(1));
        let mut tick = interval_at(Instant::now() + period, period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut behind = Behind::default();
        loop {
            if self.resident.is_none() {
                self.resident = self.member.resident();
            }
            let due = self.member.lock().due();
            tokio::select! {
                biased;
                end = stopped(&mut self.stop) => return End::Stopped(end),
                Some(command) = self.commands.recv() => self.obey(command).await,
                () = self.member.shared.changed.notified() => {}
                () = at(due) => self.member.wake_due(),
                _ = tick.tick() => {
                    self.extend();
                    behind.look(&self.member, &self.member.topic, self.options.queue.as_ref(), self.options.in_flight);
                }
                // What was pulled comes before what may be pulled.
                () = too_long(&mut self.resident) => self.move_out(false),
                pulled = self.subscription.next(PULL) => match pulled {
                    Ok(Some(deliveries)) => {
                        if let Some(first) = deliveries.first() {
                            self.settler = Some(Arc::clone(first.settler()));
                        }
                        behind.pulled(deliveries.len());
                        self.member.push(deliveries);
                    }
                    Ok(None) => return End::Stopped(Instant::now() + UNASKED_DRAIN),
                    Err(error) => return End::Failed(error),
                },
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Gives the resident a task of its own.
    fn move_out(&mut self, must: bool) {
        self.resident = self.resident.take().and_then(|resident| self.member.move_out(resident, must));
    }

    fn extend(&self) {
        if let Some(settler) = &self.settler {
            self.member.extend(settler);
        }
    }

    async fn obey(&mut self, command: Command) {
        // The one who asked may be gone; it is done all the same.
        match command {
            Command::Pause(answer) => _ = answer.send(self.subscription.pause().await),
            Command::Resume(answer) => _ = answer.send(self.subscription.resume().await),
            Command::Seek(start, answer) => _ = answer.send(self.subscription.seek(start).await),
        }
    }

    /// Subscribes again after what a reconnect does not mend, as a topic that was deleted: until it succeeds.
    async fn subscribe_again(&mut self, mut error: Error) -> Option<End> {
        // Nobody works in this task meanwhile.
        self.move_out(true);
        let mut options = self.options.clone();
        // A queue goes on where it is; one that reads from a place must not read all of it again.
        options.start = options.queue.is_none().then_some(Start::Latest);
        let mut pause = AGAIN.0;
        loop {
            if error.kind() == Kind::Closed {
                return Some(End::Failed(error));
            }
            tracing::error!(topic = %self.member.topic, %error, "the subscription ended; subscribing again in {pause:?}");
            tokio::select! {
                end = stopped(&mut self.stop) => return Some(End::Stopped(end)),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(AGAIN.1);
            match timeout(super::SUBSCRIBE, self.member.broker.subscribe(&self.member.topic, options.clone())).await {
                Ok(Ok(subscription)) => {
                    self.subscription = subscription;
                    tracing::info!(topic = %self.member.topic, "subscribed again");
                    return None;
                }
                Ok(Err(next)) => error = next,
                Err(_) => error = super::late(&self.member.broker),
            }
        }
    }

    /// Stops: lets handlers finish until the deadline, releases the rest, sends the answers and leaves the queue.
    async fn drain(mut self, deadline: Instant) -> Result<()> {
        _ = timeout(LEAVE, self.subscription.stop()).await;
        let mut workers = self.member.close();
        if let Some(resident) = self.resident.take().or_else(|| self.member.resident()) {
            workers.spawn(resident);
        }
        let period = (self.options.lease / 3).max(Duration::from_millis(1));
        loop {
            tokio::select! {
                biased;
                done = workers.join_next() => if done.is_none() { break },
                () = at(Some(deadline)) => {
                    workers.abort_all();
                    tracing::warn!(
                        topic = %self.member.topic, handlers = self.member.lock().unanswered(),
                        "handlers were not done when the drain limit was over; their messages are released"
                    );
                    // One that blocks its thread cannot be waited for.
                    _ = timeout(Duration::from_millis(500), async { while workers.join_next().await.is_some() {} }).await;
                    break;
                }
                () = sleep(period) => self.extend(),
            }
        }
        let left = timeout(LEAVE, self.subscription.unsubscribe()).await;
        self.member.gone();
        match left {
            Ok(result) => result.map_err(|error| error.operation("event.stop")),
            Err(_) => Err(Error::new(
                Kind::Timeout,
                format!(
                    "the {} broker at {} did not take the last answers within {LEAVE:?}; those messages come again",
                    self.member.broker.name(),
                    self.member.broker.address()
                ),
            )
            .operation("event.stop")
            .with("topic", &self.member.topic)),
        }
    }
}

/// Waits until it is said when to be done, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        Err(_) => Instant::now() + UNASKED_DRAIN,
    }
}

/// Lets the resident work, until one turn of it takes too long for a task that has to pull.
async fn too_long(resident: &mut Option<BoxFuture<'static, ()>>) {
    poll_fn(|context| {
        let Some(working) = resident else { return Poll::Pending };
        let began = Instant::now();
        let turn = working.as_mut().poll(context);
        if turn.is_ready() {
            // It ends when the subscription does.
            *resident = None;
            return Poll::Pending;
        }
        if began.elapsed() > TURN { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
