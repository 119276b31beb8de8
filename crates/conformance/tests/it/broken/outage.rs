//! A memory behind a switch, as if it were a server, and what can be wrong with it.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use micro_conformance::Outcome;
use micro_conformance::broker::{Fixture, Limits, Server, cases, check};
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Outcomes, Queue, Receipt, Receipts, SubscribeOptions,
    Subscription, Topic,
};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

use super::{Double, served};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
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
}

/// As many nodes it has.
pub(super) const NODES: usize = 3;

/// A server that can be switched off.
#[derive(Debug)]
struct Switch(Arc<State>);

/// Whether packets come through.
#[derive(Debug)]
struct State {
    world: String,
    wrong: Wrong,
    up: watch::Sender<bool>,
    down: Mutex<BTreeSet<usize>>,
    _memory: Memory,
}

impl Switch {
    fn new(wrong: Wrong) -> Self {
        let world = format!("switched-{}", uuid::Uuid::new_v4());
        let memory = Memory::shared(&world);
        Self(Arc::new(State { world, wrong, up: watch::Sender::new(true), down: Mutex::default(), _memory: memory }))
    }

    fn away(&self) {
        self.0.up.send_replace(false);
    }

    fn back(&self) {
        self.0.up.send_replace(true);
    }
}

impl Server for Switch {
    fn client(&self) -> Arc<dyn Broker> {
        let memory = Memory::shared(&self.0.world);
        // A server keeps what it has; memory lives as long as its world.
        Arc::new(Client { memory: Arc::new(memory), switch: Arc::clone(&self.0) })
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
        self.memory.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        self.memory.disconnect().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let up = *self.switch.up.borrow();
        let loses = self.switch.wrong == Wrong::LosesWithOne && !self.switch.down.lock().unwrap().is_empty();
        if up && !loses {
            return self.memory.publish(topic, messages);
        }
        if loses || self.switch.wrong == Wrong::Loses {
            return Outcomes::ready(messages.iter().map(|_| Ok(Receipt::default())).collect());
        }
        let (receipts, promise) = Outcomes::pending(messages.len());
        let (memory, topic, mut up) = (Arc::clone(&self.memory), topic.clone(), self.switch.up.subscribe());
        tokio::spawn(async move {
            if up.wait_for(|up| *up).await.is_ok() {
                for (entry, receipt) in memory.publish(&topic, messages).await.into_iter().enumerate() {
                    promise.complete(entry, receipt);
                }
            }
        });
        receipts
    }

    async fn ready(&self) -> Result<()> {
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
    fn topic(&self) -> &Topic {
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

/// A client of an address where nobody listens.
#[derive(Debug)]
struct Lonely {
    memory: Memory,
    wrong: Wrong,
}

#[async_trait]
impl Broker for Lonely {
    fn name(&self) -> &'static str {
        "lonely"
    }

    fn capability(&self) -> Capability {
        self.memory.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.memory.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.memory.options()
    }

    fn address(&self) -> String {
        "127.0.0.1:1".to_owned()
    }

    async fn connect(&self) -> Result<()> {
        match self.wrong {
            Wrong::ConnectsToNobody => Ok(()),
            Wrong::SaysNothing => Err(Error::new(Kind::Unavailable, "something went wrong")),
            _ => Err(Error::new(Kind::Unavailable, "nobody listens at 127.0.0.1:1; start the server")),
        }
    }

    async fn disconnect(&self) -> Result<()> {
        Ok(())
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        self.memory.publish(topic, messages)
    }

    async fn ready(&self) -> Result<()> {
        self.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.memory.subscribe(topic, options).await
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn switched(case: &'static str, wrong: &'static str, how: Wrong) -> Double {
    let nobody = move || Arc::new(Lonely { memory: Memory::new(), wrong: how }) as Arc<dyn Broker>;
    let server = move || Arc::new(Switch::new(how)) as Arc<dyn Server>;
    served(case, wrong, nobody, server)
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        switched("B81", "connects to nobody", Wrong::ConnectsToNobody),
        switched("B81", "does not say where", Wrong::SaysNothing),
        switched("B100", "loses what it confirmed", Wrong::Loses),
        switched("B101", "does not come back by itself", Wrong::StaysCut),
        switched("B101", "forgets what was acknowledged", Wrong::Forgets),
        switched("B102", "confirms what it never had", Wrong::Loses),
        switched("B103", "loses what it confirmed", Wrong::Loses),
        switched("B107", "is down when one node is", Wrong::DiesWithOne),
        switched("B107", "loses what it confirms while a node is down", Wrong::LosesWithOne),
        switched("B107", "forgets with a node what was acknowledged", Wrong::ForgetsWithOne),
        switched("B108", "loses what it confirmed", Wrong::Loses),
        switched("B108", "does not come back by itself", Wrong::StaysCut),
    ]
}

/// The switch itself is sound: nothing else than what is wrong on purpose is caught.
#[test]
fn a_sound_server_passes_the_cases_of_outages() {
    #[derive(Debug)]
    struct Sound;

    impl Fixture for Sound {
        fn name(&self) -> &'static str {
            "sound"
        }

        fn client(&self) -> Arc<dyn Broker> {
            Switch::new(Wrong::Nothing).client()
        }

        fn nobody(&self) -> Option<Arc<dyn Broker>> {
            Some(Arc::new(Lonely { memory: Memory::new(), wrong: Wrong::Nothing }))
        }

        fn server(&self) -> Option<Arc<dyn Server>> {
            Some(Arc::new(Switch::new(Wrong::Nothing)))
        }

        fn nodes(&self) -> usize {
            NODES
        }

        fn limits(&self) -> Limits {
            Limits::default()
        }
    }

    let fixture: Arc<dyn Fixture> = Arc::new(Sound);
    for case in cases().filter(|case| doubles().iter().any(|double| double.case == case.id)) {
        assert_eq!(check(case, &fixture), Outcome::Run, "{}", case.id);
    }
}
