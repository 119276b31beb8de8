//! A client that cannot publish to one topic.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Message, Outcomes, Pattern, Receipts, ReplyTo, SubscribeOptions, Subscription,
    Topic, Transaction,
};
use micro_core::{Error, Kind, Result};

#[derive(Debug)]
pub(super) struct Refusing {
    inner: Arc<dyn Broker>,
    topic: Topic,
}

impl Refusing {
    pub(super) fn new(inner: Arc<dyn Broker>, topic: Topic) -> Self {
        Self { inner, topic }
    }
}

#[async_trait]
impl Broker for Refusing {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.inner.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.inner.options()
    }

    fn address(&self) -> String {
        self.inner.address()
    }

    async fn connect(&self) -> Result<()> {
        self.inner.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        self.inner.disconnect().await
    }

    async fn health(&self) -> Result<()> {
        self.inner.health().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        if *topic == self.topic {
            return Outcomes::failed(messages.len(), &Error::new(Kind::Unavailable, "this topic takes nothing today"));
        }
        self.inner.publish(topic, messages)
    }

    async fn ready(&self) -> Result<()> {
        self.inner.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(topic, options).await
    }

    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe_pattern(pattern, options).await
    }

    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        self.inner.transaction().await
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        self.inner.request(topic, message, within).await
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        self.inner.reply(to, message)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
