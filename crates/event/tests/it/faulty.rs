//! A broker that refuses to publish on `.dead` topics for a while, or whose subscriptions end.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use micro_core::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Pattern, Queue, Receipts, ReplyTo, SubscribeOptions,
    Subscription, Topic,
};
use micro_core::{Error, Kind, Result};

/// Memory, but the next so many publishes of dead letters fail.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub(crate) memory: Arc<Memory>,
    pub(crate) failures: Arc<AtomicU32>,
    pub(crate) tried: Arc<AtomicU32>,
    /// So many subscriptions end with an error after their first deliveries.
    pub(crate) ends: Arc<AtomicU32>,
}

impl Faulty {
    pub(crate) fn new(failures: u32) -> Self {
        Self {
            memory: Arc::new(Memory::new()),
            failures: Arc::new(AtomicU32::new(failures)),
            tried: Arc::default(),
            ends: Arc::default(),
        }
    }
}

#[async_trait::async_trait]
impl Broker for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
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
        if topic.as_str().ends_with(".dead") {
            self.tried.fetch_add(1, Ordering::SeqCst);
            let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() {
                return Receipts::failed(messages.len(), &Error::new(Kind::Unavailable, "no leader"));
            }
        }
        self.memory.publish(topic, messages)
    }
    async fn ready(&self) -> Result<()> {
        self.memory.ready().await
    }
    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let inner = self.memory.subscribe(topic, options).await?;
        let ends = self.ends.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        Ok(if ends { Box::new(Ending { inner, given: false }) } else { inner })
    }
    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.memory.subscribe_pattern(pattern, options).await
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        self.memory.request(topic, message, within).await
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        self.memory.reply(to, message)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A subscription that ends after its first deliveries, as if its topic was deleted.
#[derive(Debug)]
struct Ending {
    inner: Box<dyn Subscription>,
    given: bool,
}

#[async_trait::async_trait]
impl Subscription for Ending {
    fn topic(&self) -> Option<&Topic> {
        self.inner.topic()
    }
    fn queue(&self) -> Option<&Queue> {
        self.inner.queue()
    }
    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        if self.given {
            return Err(Error::new(Kind::NotFound, "the topic was deleted"));
        }
        let next = self.inner.next(max).await;
        self.given = true;
        next
    }
    async fn stop(&mut self) {
        self.inner.stop().await;
    }
    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        self.inner.unsubscribe().await
    }
}
