//! A memory behind a switch, as if it were a server, and what can be wrong with it.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use micro_conformance::broker::{REFUSED_AT, Server};
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Outcomes, Promise, Queue, Receipt, Receipts,
    SubscribeOptions, Subscription, Topic,
};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// What is published while it is away is confirmed and lost.
    Loses,
    /// A subscription that was cut stays so.
    StaysCut,
    /// What was acknowledged before a cut comes again.
    Forgets,
    /// Where one node is down, all is.
    DiesWithOne,
    /// What is published while a node is down is confirmed and lost.
    LosesWithOne,
    /// What was acknowledged comes again when a node is gone.
    ForgetsWithOne,
    /// It connects to nobody.
    ConnectsToNobody,
    /// Its errors say nothing.
    SaysNothing,
    /// What waited while it was away goes out the wrong way round.
    Reorders,
    /// After an outage it publishes the first message of all again.
    Repeats,
    /// It takes whatever comes while it is away.
    IsBoundless,
    /// It says when it is full, and takes everything all the same.
    NeverRefuses,
    /// It confirms what it has no room for.
    DropsWhenFull,
    /// It does not say that it is full, but something else.
    RefusesVaguely,
    /// Connecting fails at once, however long it may wait.
    NeverWaits,
    /// Connecting waits for as long as it takes.
    WaitsForEver,
    /// It is connected to a server that is away.
    ConnectsAnyway,
    /// It is healthy whatever happens.
    AlwaysHealthy,
    /// It was well once, or not: that does not change when the server is back.
    StaysIll,
    /// Asked for its health it waits for the server.
    WaitsForHealth,
    /// It is ill by a word that says nothing.
    IllSomehow,
    /// It is healthy after its end.
    HealthyWhenClosed,
}

/// As many nodes it has.
pub(super) const NODES: usize = 3;

/// A server that can be switched off.
#[derive(Debug)]
pub(super) struct Switch(Arc<State>);

/// Whether packets come through.
#[derive(Debug)]
struct State {
    world: String,
    wrong: Wrong,
    up: watch::Sender<bool>,
    was_away: AtomicBool,
    down: Mutex<BTreeSet<usize>>,
    _memory: Memory,
}

impl Switch {
    pub(super) fn new(wrong: Wrong) -> Self {
        let world = format!("switched-{}", uuid::Uuid::new_v4());
        let memory = Memory::shared(&world);
        Self(Arc::new(State {
            world,
            wrong,
            up: watch::Sender::new(true),
            was_away: AtomicBool::new(false),
            down: Mutex::default(),
            _memory: memory,
        }))
    }

    fn away(&self) {
        self.0.was_away.store(true, Ordering::Relaxed);
        self.0.up.send_replace(false);
    }

    fn back(&self) {
        self.0.up.send_replace(true);
    }
}

impl Switch {
    fn make(&self, limit: Duration, room: usize) -> Arc<dyn Broker> {
        // A server keeps what it has; memory lives as long as its world.
        let memory = Arc::new(Memory::shared(&self.0.world));
        let line = Line { waiting: Mutex::default(), bytes: watch::Sender::new(0) };
        Arc::new(Client { memory, switch: Arc::clone(&self.0), limit, room, line: Arc::new(line) })
    }
}

impl Server for Switch {
    fn client(&self) -> Arc<dyn Broker> {
        self.make(Duration::from_secs(5), usize::MAX / REFUSED_AT)
    }

    fn patient(&self, limit: Duration) -> Arc<dyn Broker> {
        self.make(limit, usize::MAX / REFUSED_AT)
    }

    fn narrow(&self, bytes: usize) -> Arc<dyn Broker> {
        self.make(Duration::from_secs(5), bytes)
    }

    fn kill(&self) {
        self.away();
    }

    fn start(&self) {
        self.0.down.lock().unwrap().clear();
        self.back();
    }

    /// As long as one is up it goes on.
    fn kill_node(&self, node: usize) {
        let mut down = self.0.down.lock().unwrap();
        down.insert(node);
        if self.0.wrong == Wrong::ForgetsWithOne {
            self.0.up.send_replace(true);
        }
        if down.len() == NODES || self.0.wrong == Wrong::DiesWithOne {
            self.away();
        }
    }

    fn start_node(&self, node: usize) {
        self.0.down.lock().unwrap().remove(&node);
        self.back();
    }

    fn cut(&self) {
        self.away();
    }

    fn hold(&self) {
        self.away();
    }

    fn heal(&self) {
        self.back();
    }
}

#[derive(Debug)]
struct Client {
    memory: Arc<Memory>,
    switch: Arc<State>,
    /// How long connecting waits.
    limit: Duration,
    /// From so many bytes that wait on, ready waits too.
    room: usize,
    line: Arc<Line>,
}

/// What waits for the server, in order.
#[derive(Debug)]
struct Line {
    waiting: Mutex<Vec<Waiting>>,
    bytes: watch::Sender<usize>,
}

#[derive(Debug)]
struct Waiting {
    topic: Topic,
    messages: Vec<Message>,
    promise: Promise<Receipt>,
}

impl Client {
    fn is(&self, wrong: Wrong) -> bool {
        self.switch.wrong == wrong
    }

    /// Answers what is not taken, where it is not.
    fn refused(&self, messages: &[Message]) -> Option<Receipts> {
        let fine = || Outcomes::ready(messages.iter().map(|_| Ok(Receipt::default())).collect());
        if self.is(Wrong::Loses) {
            return Some(fine());
        }
        if self.is(Wrong::IsBoundless) || *self.line.bytes.borrow() < self.room * REFUSED_AT {
            return None;
        }
        let refused = |kind| Some(Outcomes::failed(messages.len(), &Error::new(kind, "the buffer is full")));
        match self.switch.wrong {
            Wrong::NeverRefuses => None,
            Wrong::DropsWhenFull => Some(fine()),
            Wrong::RefusesVaguely => refused(Kind::Unavailable),
            _ => refused(Kind::ResourceExhausted),
        }
    }

    /// Sends what waits as soon as the server is there.
    fn send_later(&self) {
        let (memory, line, switch) = (Arc::clone(&self.memory), Arc::clone(&self.line), Arc::clone(&self.switch));
        tokio::spawn(async move {
            if switch.up.subscribe().wait_for(|up| *up).await.is_err() {
                return;
            }
            let sent: Vec<_> = {
                let mut waiting = line.waiting.lock().unwrap();
                if switch.wrong == Wrong::Reorders {
                    waiting.reverse();
                }
                let send = |Waiting { topic, messages, promise }| (memory.publish(&topic, messages), topic, promise);
                let sent = waiting.drain(..).map(send).collect();
                line.bytes.send_replace(0);
                sent
            };
            for (receipts, topic, promise) in sent {
                for (entry, receipt) in receipts.await.into_iter().enumerate() {
                    promise.complete(entry, receipt);
                }
                if switch.wrong == Wrong::Repeats {
                    drop(memory.publish(&topic, vec![Message::new("0").key("one")]));
                }
            }
        });
    }
}

#[async_trait]
impl Broker for Client {
    fn name(&self) -> &'static str {
        "switched"
    }

    fn capability(&self) -> Capability {
        let mut capability = self.memory.capability();
        capability.persistent = true;
        capability
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.memory.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.memory.options()
    }

    fn address(&self) -> String {
        self.memory.address()
    }

    async fn connect(&self) -> Result<()> {
        let limit = match self.switch.wrong {
            Wrong::NeverWaits => Duration::ZERO,
            Wrong::WaitsForEver => Duration::MAX,
            _ => self.limit,
        };
        let mut up = self.switch.up.subscribe();
        if !self.is(Wrong::ConnectsAnyway) && tokio::time::timeout(limit, up.wait_for(|up| *up)).await.is_err() {
            return Err(Error::new(Kind::Unavailable, format!("the server is not there after {limit:?}; start it")));
        }
        self.memory.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        self.memory.disconnect().await
    }

    async fn health(&self) -> Result<()> {
        let wrong = self.switch.wrong;
        if wrong == Wrong::AlwaysHealthy {
            return Ok(());
        }
        if wrong != Wrong::HealthyWhenClosed {
            self.memory.health().await?;
        }
        let mut up = self.switch.up.subscribe();
        if *up.borrow() && !(wrong == Wrong::StaysIll && self.switch.was_away.load(Ordering::Relaxed)) {
            return Ok(());
        }
        match wrong {
            Wrong::WaitsForHealth => {
                let _ = up.wait_for(|up| *up).await;
                Ok(())
            }
            Wrong::IllSomehow => Err(Error::new(Kind::Internal, "something went wrong")),
            _ => Err(Error::new(Kind::Unavailable, "the server is away").with("address", self.address())),
        }
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let mut waiting = self.line.waiting.lock().unwrap();
        let up = *self.switch.up.borrow();
        if self.switch.wrong == Wrong::LosesWithOne && !self.switch.down.lock().unwrap().is_empty() {
            return Outcomes::ready(messages.iter().map(|_| Ok(Receipt::default())).collect());
        }
        if up && waiting.is_empty() {
            return self.memory.publish(topic, messages);
        }
        if let Some(refused) = self.refused(&messages) {
            return refused;
        }
        if waiting.is_empty() {
            self.send_later();
        }
        let (receipts, promise) = Outcomes::pending(messages.len());
        let bytes: usize = messages.iter().map(|message| message.body.len()).sum();
        self.line.bytes.send_modify(|all| *all += bytes);
        waiting.push(Waiting { topic: topic.clone(), messages, promise });
        receipts
    }

    async fn ready(&self) -> Result<()> {
        if !self.is(Wrong::IsBoundless) {
            let mut bytes = self.line.bytes.subscribe();
            let _ = bytes.wait_for(|bytes| *bytes < self.room).await;
        }
        self.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let inner = self.memory.subscribe(topic, options).await?;
        let switch = Arc::clone(&self.switch);
        let (memory, topic) = (Arc::clone(&self.memory), topic.clone());
        Ok(Box::new(Switched { inner, up: switch.up.subscribe(), switch, memory, topic, was_away: false }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Switched {
    inner: Box<dyn Subscription>,
    switch: Arc<State>,
    up: watch::Receiver<bool>,
    memory: Arc<Memory>,
    topic: Topic,
    was_away: bool,
}

#[async_trait]
impl Subscription for Switched {
    fn topic(&self) -> Option<&Topic> {
        self.inner.topic()
    }

    fn queue(&self) -> Option<&Queue> {
        self.inner.queue()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        if self.up.has_changed().unwrap_or(false) {
            self.was_away = true;
            self.up.mark_unchanged();
            if matches!(self.switch.wrong, Wrong::Forgets | Wrong::ForgetsWithOne) {
                self.memory.publish(&self.topic, vec![Message::new("7")]).all().await?;
            }
        }
        if self.was_away && self.switch.wrong == Wrong::StaysCut {
            std::future::pending::<()>().await;
        }
        let _ = self.up.wait_for(|up| *up).await;
        self.inner.next(max).await
    }

    async fn stop(&mut self) {
        self.inner.stop().await;
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        self.inner.unsubscribe().await
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
