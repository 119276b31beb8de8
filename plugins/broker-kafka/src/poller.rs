//! The thread of a subscription: keeps its membership alive, whatever its handlers do.
//!
//! Deliveries do not come this way: each partition has a queue of its own, which [`Member::pull`] reads. What comes here is
//! the group's will (rebalances), the outcome of commits, and errors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::{Error, Kind, Result};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::oneshot;

use crate::assignment;
use crate::context::{Consumer, Rebalance};
use crate::doubt::{Doubt, Shared};
use crate::error::of_code;
use crate::lag::Lag;
use crate::member::{Member, Order, Phase, is_final, is_missing};
use crate::seek;

/// How long one look at the client's queue takes, with nothing to do and with something to wait for.
const IDLE: Duration = Duration::from_millis(100);
const BUSY: Duration = Duration::from_millis(3);
/// How often new partitions, and a retry topic that another member made, are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How long the servers must say that the topic is not there until it is gone, and how often they are asked.
const GONE: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long settlements on their way may take when it leaves.
const LAST_COMMIT: Duration = Duration::from_secs(5);
/// Pauses between tries to take partitions over.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

pub(crate) struct Poller {
    pub(crate) member: Arc<Member>,
    pub(crate) consumer: Arc<Consumer>,
    /// Told when the subscription is live, or cannot be.
    pub(crate) live: Option<oneshot::Sender<Result<()>>>,
    looked: Instant,
    /// When the servers were last asked for a topic that is missing.
    asked: Instant,
    has_retry_topic: bool,
    /// Not before this is an assignment tried again.
    not_before: Option<Instant>,
    failures: u32,
    /// It was given nothing, and nobody looked yet whether that is right.
    doubt: Option<Doubt>,
    lag: Lag,
}

impl Poller {
    pub(crate) fn new(
        member: Arc<Member>,
        consumer: Arc<Consumer>,
        has_retry_topic: bool,
        live: oneshot::Sender<Result<()>>,
    ) -> Self {
        let lag = Lag::new(&member);
        let looked = Instant::now();
        Self {
            member,
            consumer,
            live: Some(live),
            looked,
            asked: looked,
            has_retry_topic,
            not_before: None,
            failures: 0,
            doubt: None,
            lag,
        }
    }

    /// Works until the subscription has left.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.begin() {
            self.is_live(Err(error));
            self.member.lock().phase = Phase::Leaving(Instant::now());
        }
        let mut leaving = None;
        let outcome = loop {
            match self.consumer.poll(self.patience()) {
                None => {}
                Some(Err(error)) => self.trouble(&error),
                // Every partition's queue is split off before it is assigned, so that nothing comes here. If it does all
                // the same, its partition is read again from there.
                Some(Ok(message)) => assignment::misdirected(&self.member, &self.consumer, &message),
            }
            self.hear();
            self.give_away();
            assignment::mend(&self.member, &self.consumer);
            self.member.commit(&mut self.member.lock());
            self.look();
            self.look_for_neglect();
            self.look_for_topic();
            self.obey();
            if let Some(outcome) = self.may_leave(&mut leaving) {
                break outcome;
            }
        };
        self.close(outcome);
    }

    fn begin(&mut self) -> Result<()> {
        let subscribed = match &self.member.queue {
            Some(_) => self.subscribe().map_err(|error| crate::error::convert("cannot join the queue", &error)),
            None => assignment::everything(&self.member, &self.consumer).map(|()| self.is_live(Ok(()))),
        };
        subscribed.map_err(|error| self.named(error))
    }

    fn subscribe(&self) -> Result<(), KafkaError> {
        let mut topics = vec![self.member.topic.as_str()];
        if self.has_retry_topic {
            topics.extend(self.member.retry_topic.as_ref().map(|topic| topic.as_str()));
        }
        self.consumer.subscribe(&topics)
    }

    fn named(&self, error: Error) -> Error {
        let error = error
            .operation("broker.subscribe")
            .with("topic", &self.member.topic)
            .with("address", self.member.publisher.settings.address());
        match &self.member.queue {
            Some(queue) => error.with("queue", queue),
            None => error,
        }
    }

    fn is_live(&mut self, outcome: Result<()>) {
        if let Some(live) = self.live.take() {
            // The one who subscribed may have given up; then it leaves.
            let _ = live.send(outcome);
        }
    }

    fn patience(&self) -> Duration {
        let state = self.member.lock();
        let waits =
            state.is_draining() || !state.orders.is_empty() || state.phase != Phase::Live || self.not_before.is_some();
        if waits {
            return BUSY;
        }
        // Whoever settles sends the commit itself, unless the last one was just now.
        match state.commits.rests(Instant::now()) {
            // In whole milliseconds: the client spins through parts of one.
            Some(rest) => Duration::from_millis(rest.as_millis() as u64 + 1).clamp(BUSY, IDLE),
            None if !state.commits.in_flight() && state.shares.values().any(|share| share.dirty) => BUSY,
            None => IDLE,
        }
    }

    /// Acts on what the client told meanwhile.
    fn hear(&mut self) {
        let (commits, statistics) = {
            let mut heard = self.consumer.context().heard();
            (std::mem::take(&mut heard.commits), heard.statistics.take())
        };
        if !commits.is_empty() {
            let mut state = self.member.lock();
            for result in commits {
                self.member.committed(&mut state, result);
            }
        }
        if let Some(statistics) = statistics {
            self.lag.note(&self.member, &statistics);
        }
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.not_before = None;
        loop {
            let Some(next) = self.consumer.context().heard().rebalances.pop_front() else { return };
            match next {
                Rebalance::Assign(partitions) => match assignment::assign(&self.member, &self.consumer, &partitions) {
                    Ok(()) => {
                        self.failures = 0;
                        let idle = self.member.lock().shares.is_empty();
                        self.doubt = idle.then(Doubt::new);
                        if !idle {
                            self.is_live(Ok(()));
                        }
                    }
                    Err(error) => {
                        let error = self.named(error);
                        self.failures = self.failures.saturating_add(1);
                        let pause = AGAIN.0.saturating_mul(1 << self.failures.min(8)).min(AGAIN.1);
                        tracing::warn!(%error, "partitions cannot be taken over yet; trying again in {pause:?}");
                        if matches!(error.kind(), Kind::NotFound | Kind::Forbidden | Kind::InvalidArgument) {
                            self.is_live(Err(error));
                        }
                        self.not_before = Some(Instant::now() + pause);
                        self.consumer.context().heard().rebalances.push_front(Rebalance::Assign(partitions));
                        return;
                    }
                },
                Rebalance::Revoke { partitions, lost } => {
                    assignment::revoke(&self.member, &self.consumer, &partitions, lost);
                }
            }
        }
    }

    /// Gives away what drained.
    fn give_away(&self) {
        assignment::give_away(&self.member, &self.consumer);
    }

    fn trouble(&mut self, error: &KafkaError) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if is_missing(code) {
            self.member.lock().missing.get_or_insert_with(|| (Instant::now(), code));
            return;
        }
        if !is_final(code) && !matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            // The connections come back by themselves; the context has told why they went.
            tracing::debug!(topic = %self.member.topic, %error, "kafka: a subscription cannot go on for now");
            return;
        }
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        if self.live.is_some() {
            let error = self.named(of_code("cannot subscribe", code));
            self.is_live(Err(error));
        } else {
            let mut state = self.member.lock();
            self.member.fail(&mut state, code);
        }
    }

    /// Asks whether a topic that was said to be missing is; it is gone if they say so for a while.
    fn look_for_topic(&mut self) {
        let Some((since, code)) = self.member.lock().missing else { return };
        if self.asked.elapsed() < ASK_AGAIN {
            return;
        }
        let found = assignment::is_whole(&self.member, &self.consumer);
        self.asked = Instant::now();
        let missing = match found {
            Ok(true) => None,
            Ok(false) if since.elapsed() > GONE => {
                self.end(code);
                None
            }
            Ok(false) => return,
            // Nobody said anything: it is not missing for so long.
            Err(_) => Some((self.asked, code)),
        };
        self.member.lock().missing = missing;
    }

    /// With nothing in hand, looks whether nobody has anything; then it joins the group anew.
    fn look_for_neglect(&mut self) {
        let Some(queue) = self.member.queue.as_ref().filter(|_| self.doubt.as_ref().is_some_and(Doubt::is_due)) else {
            return;
        };
        if self.member.lock().phase != Phase::Live {
            self.doubt = None;
            return;
        }
        match assignment::shared_out(&self.member, &self.consumer, queue) {
            Ok(Shared::Out) => {
                self.doubt = None;
                self.is_live(Ok(()));
                return;
            }
            // Another assignment follows.
            Ok(Shared::Moving) => self.is_live(Ok(())),
            Ok(Shared::Unknown) => {}
            Ok(Shared::Neglected) => {
                tracing::warn!(
                    topic = %self.member.topic, queue = ?self.member.queue,
                    "kafka: the group shared out nothing of a topic that is there; joining it anew"
                );
                self.consumer.unsubscribe();
                if let Err(error) = self.subscribe() {
                    tracing::warn!(topic = %self.member.topic, %error, "kafka: the group cannot be joined now");
                }
            }
            Err(error) => {
                tracing::debug!(topic = %self.member.topic, %error, "kafka: who has what cannot be asked for now");
                // The servers have let it in; that the rest is looked at later is no reason to wait.
                self.is_live(Ok(()));
            }
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.again();
        }
    }

    /// Looks now and then for what nobody tells.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK || self.member.lock().phase != Phase::Live {
            return;
        }
        self.looked = Instant::now();
        if self.member.queue.is_some() {
            self.look_for_retry_topic();
        } else if let Err(error) = assignment::everything(&self.member, &self.consumer) {
            tracing::debug!(topic = %self.member.topic, %error, "kafka: new partitions cannot be looked for now");
        }
    }

    fn look_for_retry_topic(&mut self) {
        let Some(topic) = self.member.retry_topic.as_ref().filter(|_| !self.has_retry_topic) else { return };
        self.has_retry_topic = assignment::is_there(&self.consumer, topic);
        if self.has_retry_topic
            && let Err(error) = self.subscribe()
        {
            tracing::warn!(%topic, %error, "kafka: the retry topic cannot be read yet");
            self.has_retry_topic = false;
        }
    }

    fn obey(&mut self) {
        let orders = {
            let mut state = self.member.lock();
            let leaves = |order: &Order| matches!(order, Order::Leave(_));
            let (stay, go) = std::mem::take(&mut state.orders).into_iter().partition(leaves);
            state.orders = stay;
            go
        };
        let orders: Vec<Order> = orders;
        for order in orders {
            match order {
                Order::LookForRetryTopic => self.look_for_retry_topic(),
                Order::Seek(start, answer) => {
                    let outcome = seek::seek(&self.member, &self.consumer, start);
                    // The one who asked may be gone; it is done all the same.
                    let _ = answer.send(outcome.map_err(|error| self.named(error).operation("subscription.seek")));
                }
                Order::Leave(_) => {}
            }
        }
    }

    /// Tells whether it may leave now, and whether all that was settled is with the servers.
    fn may_leave(&mut self, leaving: &mut Option<Instant>) -> Option<Result<()>> {
        let state = self.member.lock();
        let Phase::Leaving(until) = state.phase else { return None };
        let now = Instant::now();
        if state.slots.len() > 0 && now < until {
            return None;
        }
        let give_up = *leaving.get_or_insert(now + LAST_COMMIT);
        if state.is_dirty() && now < give_up && state.consumer.is_some() {
            return None;
        }
        Some(match state.is_dirty() && self.member.queue.is_some() {
            false => Ok(()),
            true => Err(Error::new(
                Kind::Unavailable,
                format!("the servers did not take the last answers within {LAST_COMMIT:?}; those messages come again"),
            )),
        })
    }

    fn close(mut self, outcome: Result<()>) {
        self.is_live(Err(crate::error::closed()));
        let named = outcome.map_err(|error| self.named(error).operation("subscription.unsubscribe"));
        let Self { member, consumer, mut lag, .. } = self;
        let (shares, orders) = {
            let _held = member.hold();
            let mut state = member.lock();
            state.phase = Phase::Left;
            state.consumer = None;
            let numbers: Vec<u64> = state.shares.keys().copied().collect();
            let shares: Vec<_> =
                numbers.into_iter().filter_map(|number| member.drop_share(&mut state, number)).collect();
            state.timers.clear();
            (shares, std::mem::take(&mut state.orders))
        };
        member.arrived.notify_one();
        drop(shares);
        lag.gone();
        assignment::grant_all(&consumer);
        // The last one: it leaves the group, on this thread, which may block.
        drop(consumer);
        for order in orders {
            // Nobody may wait for the answer any more.
            match order {
                Order::Leave(answer) => _ = answer.send(named.as_ref().copied().map_err(Error::duplicate)),
                Order::Seek(_, answer) => _ = answer.send(Err(crate::error::closed())),
                Order::LookForRetryTopic => {}
            }
        }
    }
}
