//! The memory broker with a journal beside it: one client of the kit's world for each service.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use micro::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Outcomes, Pattern, Receipts, ReplyTo,
    SubscribeOptions, Subscription, Topic, Transaction,
};
use micro::{Error, Kind, Result};
use tokio::runtime::Handle;

use crate::journal::{Group, Journal};
use crate::subscription::{RecordedSettler, RecordedSubscription};
use crate::transaction::RecordedTransaction;

/// One service's connection to the kit's broker.
#[derive(Clone)]
pub(crate) struct Recorder(pub(crate) Arc<Client>);

pub(crate) struct Client {
    pub(crate) memory: Memory,
    pub(crate) journal: Arc<Journal>,
    /// The service.
    pub(crate) by: String,
    pub(crate) id: u64,
    /// Whose clock counts, whoever asks.
    runtime: Handle,
    /// Its service crashed: nothing of it gets through any more.
    dead: AtomicBool,
    /// By address, the settlers that subscriptions or deliveries still use. A weak reference keeps an address taken.
    settlers: Mutex<HashMap<usize, Weak<RecordedSettler>>>,
}

impl Recorder {
    pub(crate) fn new(memory: Memory, journal: Arc<Journal>, by: &str, runtime: Handle) -> Self {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let id = CLIENTS.fetch_add(1, Ordering::Relaxed);
        let settlers = Mutex::default();
        Self(Arc::new(Client {
            memory,
            journal,
            by: by.to_owned(),
            id,
            runtime,
            dead: AtomicBool::new(false),
            settlers,
        }))
    }
}

impl Client {
    /// Runs something by the clock of the kit's runtime.
    pub(crate) fn on_clock<T>(&self, work: impl FnOnce() -> T) -> T {
        let _there = self.runtime.enter();
        work()
    }

    /// Cuts it off.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Refuses what a dead service does.
    pub(crate) fn alive(&self) -> Result<()> {
        match self.dead.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::new(Kind::Closed, format!("the test let the service {} crash", self.by))),
        }
    }

    /// Refuses a publish if the test asked for it.
    pub(crate) fn refuse(&self, topic: &Topic) -> Result<()> {
        self.alive()?;
        if !self.journal.refusal(topic) {
            return Ok(());
        }
        let text = format!("the test has the broker refuse this publish to {topic} (fail_next)");
        Err(Error::new(Kind::Unavailable, text).operation("broker.publish"))
    }

    pub(crate) fn settler(&self, settler: RecordedSettler) -> Arc<RecordedSettler> {
        let settler = Arc::new(settler);
        let mut settlers = self.settlers.lock().unwrap_or_else(PoisonError::into_inner);
        settlers.retain(|_, settler| settler.strong_count() > 0);
        settlers.insert(Arc::as_ptr(&settler).addr(), Arc::downgrade(&settler));
        settler
    }

    /// Gives a delivery back its own settler and token, as the memory broker knows it; `None` if it is none of ours.
    pub(crate) fn unwrapped(&self, delivery: &Delivery) -> Option<Delivery> {
        let address = Arc::as_ptr(delivery.settler()).addr();
        let settler = self.settlers.lock().unwrap_or_else(PoisonError::into_inner).get(&address)?.upgrade()?;
        let mut parts = delivery.parts().clone();
        parts.token = self.journal.inner(parts.token)?;
        parts.origin = Arc::clone(&settler.origin);
        Some(Delivery::from_parts(parts))
    }
}

#[async_trait]
impl Broker for Recorder {
    fn name(&self) -> &'static str {
        self.0.memory.name()
    }

    fn capability(&self) -> Capability {
        self.0.memory.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.0.memory.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.0.memory.options()
    }

    fn address(&self) -> String {
        self.0.memory.address()
    }

    async fn connect(&self) -> Result<()> {
        self.0.memory.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        let done = self.0.memory.disconnect().await;
        self.0.journal.gone(self.0.id);
        done
    }

    async fn health(&self) -> Result<()> {
        self.0.alive().map_err(|error| error.with("address", self.address()))?;
        self.0.memory.health().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let mut results: Vec<Option<Result<_>>> = Vec::with_capacity(messages.len());
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            let refused = self.0.refuse(topic).err().map(Err);
            if refused.is_none() {
                taken.push(message);
            }
            results.push(refused);
        }
        let mut receipts = self.0.on_clock(|| self.0.memory.publish(topic, taken.clone()));
        match (&mut receipts).now_or_never() {
            Some(answers) => {
                let done = answers.iter().zip(taken).filter(|(answer, _)| answer.is_ok()).map(|(_, message)| message);
                self.0.journal.published(&self.0.by, topic, done);
                Outcomes::ready(merged(results, answers))
            }
            // A subscriber is too far behind: it is published when there is room.
            None => {
                let (outcomes, promise) = Outcomes::pending(results.len());
                let (client, topic) = (Arc::clone(&self.0), topic.clone());
                self.0.runtime.spawn(async move {
                    let answers = receipts.await;
                    let done =
                        answers.iter().zip(taken).filter(|(answer, _)| answer.is_ok()).map(|(_, message)| message);
                    client.journal.published(&client.by, &topic, done);
                    for (entry, result) in merged(results, answers).into_iter().enumerate() {
                        promise.complete(entry, result);
                    }
                });
                outcomes
            }
        }
    }

    async fn ready(&self) -> Result<()> {
        self.0.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let group = Group::of(&options);
        let inner = self.0.memory.subscribe(topic, options).await?;
        Ok(Box::new(RecordedSubscription::new(inner, group, Arc::clone(&self.0))))
    }

    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let group = Group::of(&options);
        let inner = self.0.memory.subscribe_pattern(pattern, options).await?;
        Ok(Box::new(RecordedSubscription::new(inner, group, Arc::clone(&self.0))))
    }

    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        let inner = self.0.memory.transaction().await?;
        Ok(Box::new(RecordedTransaction::new(inner, Arc::clone(&self.0))))
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        self.0.refuse(topic)?;
        let mut asked = self.0.memory.request(topic, message.clone(), within);
        let done = self.0.on_clock(|| asked.as_mut().now_or_never());
        // One that fails at once was not published.
        if done.is_none() {
            self.0.journal.published(&self.0.by, topic, [message]);
        }
        match done {
            Some(done) => done,
            None => asked.await,
        }
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        match self.0.alive() {
            Ok(()) => self.0.memory.reply(to, message),
            Err(error) => Outcomes::failed(1, &error.operation("broker.reply")),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Puts the broker's answers in the places of what was not refused.
fn merged<T>(places: Vec<Option<Result<T>>>, answers: Vec<Result<T>>) -> Vec<Result<T>> {
    let mut answers = answers.into_iter();
    let missing = || Err(Error::new(Kind::Internal, "the broker gave no receipt"));
    places.into_iter().map(|place| place.unwrap_or_else(|| answers.next().unwrap_or_else(missing))).collect()
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("service", &self.by).finish_non_exhaustive()
    }
}
