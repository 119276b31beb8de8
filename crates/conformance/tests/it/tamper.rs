//! A memory broker that breaks one rule.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use micro_core::Result;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Origin, Outcomes, Pattern, Queue, Receipt, Receipts,
    ReplyTo, Settle, Settled, Settlement, Settler, Start, SubscribeOptions, Subscription, Token, Topic, Transaction,
};

type Change<T> = Option<Box<dyn Fn(T) -> T + Send + Sync>>;
type Ask = Option<Box<dyn Fn(Memory, Topic, Message, Duration) -> BoxFuture<'static, Result<Message>> + Send + Sync>>;
type Make<T> = Option<Box<dyn Fn(Memory) -> T + Send + Sync>>;

/// What is done wrong; nothing by default.
#[derive(Default)]
pub(crate) struct Tamper {
    /// With what is declared.
    pub(crate) capability: Option<fn(&mut Capability)>,
    /// With the topic that is published to, and subscribed to.
    pub(crate) publish_topic: Change<Topic>,
    pub(crate) subscribe_topic: Change<Topic>,
    /// With the pattern that is subscribed to.
    pub(crate) pattern: Change<Pattern>,
    /// With what is published. Receipts are there for what the caller gave.
    pub(crate) publish: Change<Vec<Message>>,
    /// With the receipts of what was not published.
    pub(crate) receipts: Change<Vec<Result<Receipt>>>,
    /// With the options of a subscription.
    pub(crate) options: Change<SubscribeOptions>,
    /// With what was pulled.
    pub(crate) deliver: Change<Vec<Delivery>>,
    /// With the answers.
    pub(crate) settle: Change<Vec<Settlement>>,
    /// Handlers that are at work are not heard.
    pub(crate) deaf: bool,
    /// With a request, in place of memory.
    pub(crate) request: Ask,
    /// With a reply.
    pub(crate) reply: Change<Message>,
    /// Makes transactions for a client of the same world.
    pub(crate) transaction: Make<Box<dyn Transaction>>,
}

/// Every message that is published is changed.
pub(crate) fn on_messages(change: impl Fn(&mut Message) + Send + Sync + 'static) -> Tamper {
    let publish = move |mut messages: Vec<Message>| {
        messages.iter_mut().for_each(&change);
        messages
    };
    Tamper { publish: Some(Box::new(publish)), ..Tamper::default() }
}

/// Every delivery is changed.
pub(crate) fn on_deliveries(change: impl Fn(&mut Delivery) + Send + Sync + 'static) -> Tamper {
    let deliver = move |mut deliveries: Vec<Delivery>| {
        deliveries.iter_mut().for_each(&change);
        deliveries
    };
    Tamper { deliver: Some(Box::new(deliver)), ..Tamper::default() }
}

/// Every answer is changed.
pub(crate) fn on_answers(change: impl Fn(&mut Settlement) + Send + Sync + 'static) -> Tamper {
    let settle = move |mut answers: Vec<Settlement>| {
        answers.iter_mut().for_each(&change);
        answers
    };
    Tamper { settle: Some(Box::new(settle)), ..Tamper::default() }
}

/// Only some answers get through; the others are confirmed all the same.
pub(crate) fn only_answers(through: fn(&Settlement) -> bool) -> Tamper {
    let settle = move |answers: Vec<Settlement>| answers.into_iter().filter(through).collect();
    Tamper { settle: Some(Box::new(settle)), ..Tamper::default() }
}

/// One kind of answer becomes another.
pub(crate) fn instead(from: fn(&Settle) -> bool, to: Settle) -> Tamper {
    on_answers(move |answer| {
        if from(&answer.settle) {
            answer.settle = to.clone();
        }
    })
}

/// A client of a tampered memory.
pub(crate) struct Tampered {
    memory: Memory,
    tamper: Arc<Tamper>,
}

impl Tampered {
    pub(crate) fn new(memory: Memory, tamper: Arc<Tamper>) -> Self {
        Self { memory, tamper }
    }
}

fn changed<T>(change: &Change<T>, value: T) -> T {
    match change {
        Some(change) => change(value),
        None => value,
    }
}

#[async_trait]
impl Broker for Tampered {
    fn name(&self) -> &'static str {
        self.memory.name()
    }

    fn capability(&self) -> Capability {
        let mut capability = self.memory.capability();
        if let Some(change) = self.tamper.capability {
            change(&mut capability);
        }
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

    async fn health(&self) -> Result<()> {
        self.memory.health().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let count = messages.len();
        let topic = changed(&self.tamper.publish_topic, topic.clone());
        let published = self.memory.publish(&topic, changed(&self.tamper.publish, messages));
        if self.tamper.publish.is_none() && self.tamper.receipts.is_none() {
            return published;
        }
        drop(published);
        Outcomes::ready(changed(&self.tamper.receipts, (0..count).map(|_| Ok(Receipt::default())).collect()))
    }

    async fn ready(&self) -> Result<()> {
        self.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let topic = changed(&self.tamper.subscribe_topic, topic.clone());
        let inner = self.memory.subscribe(&topic, changed(&self.tamper.options, options)).await?;
        Ok(Box::new(TamperedSubscription { inner, tamper: Arc::clone(&self.tamper) }))
    }

    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let pattern = changed(&self.tamper.pattern, pattern.clone());
        let inner = self.memory.subscribe_pattern(&pattern, changed(&self.tamper.options, options)).await?;
        Ok(Box::new(TamperedSubscription { inner, tamper: Arc::clone(&self.tamper) }))
    }

    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        match &self.tamper.transaction {
            Some(make) => Ok(make(self.memory.clone())),
            None => self.memory.transaction().await,
        }
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        match &self.tamper.request {
            Some(request) => request(self.memory.clone(), topic.clone(), message, within).await,
            None => self.memory.request(topic, message, within).await,
        }
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        self.memory.reply(to, changed(&self.tamper.reply, message))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.memory, f)
    }
}

struct TamperedSubscription {
    inner: Box<dyn Subscription>,
    tamper: Arc<Tamper>,
}

#[async_trait]
impl Subscription for TamperedSubscription {
    fn topic(&self) -> Option<&Topic> {
        self.inner.topic()
    }

    fn queue(&self) -> Option<&Queue> {
        self.inner.queue()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        loop {
            let Some(deliveries) = self.inner.next(max).await? else { return Ok(None) };
            let deliveries = deliveries.into_iter().map(|delivery| self.wrapped(delivery)).collect();
            let deliveries = changed(&self.tamper.deliver, deliveries);
            if !deliveries.is_empty() {
                return Ok(Some(deliveries));
            }
        }
    }

    async fn stop(&mut self) {
        self.inner.stop().await;
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        self.inner.unsubscribe().await
    }

    async fn pause(&mut self) -> Result<()> {
        self.inner.pause().await
    }

    async fn resume(&mut self) -> Result<()> {
        self.inner.resume().await
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        self.inner.seek(start).await
    }
}

impl TamperedSubscription {
    fn wrapped(&self, delivery: Delivery) -> Delivery {
        if self.tamper.settle.is_none() && !self.tamper.deaf {
            return delivery;
        }
        let mut parts = delivery.into_parts();
        let settler = TamperedSettler { inner: Arc::clone(&parts.origin.settler), tamper: Arc::clone(&self.tamper) };
        parts.origin = Origin::new(parts.origin.topic.clone(), parts.origin.queue.clone(), Arc::new(settler));
        Delivery::from_parts(parts)
    }
}

impl fmt::Debug for TamperedSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

struct TamperedSettler {
    inner: Arc<dyn Settler>,
    tamper: Arc<Tamper>,
}

impl Settler for TamperedSettler {
    fn settle(&self, answers: Vec<Settlement>) -> Settled {
        let count = answers.len();
        let answers = changed(&self.tamper.settle, answers);
        if answers.len() == count {
            return self.inner.settle(answers);
        }
        drop(self.inner.settle(answers));
        Outcomes::ready((0..count).map(|_| Ok(())).collect())
    }

    fn extend(&self, tokens: &[Token]) {
        if !self.tamper.deaf {
            self.inner.extend(tokens);
        }
    }
}

impl fmt::Debug for TamperedSettler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
