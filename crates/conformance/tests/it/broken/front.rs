//! A memory with a front of its own: how it connects, and what it shows of itself.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use micro_core::Result;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Memory, Message, Receipts, SubscribeOptions, Subscription, Topic,
};

pub(super) struct Front {
    pub(super) memory: Memory,
    pub(super) connect: Arc<dyn Fn() -> Result<()> + Send + Sync>,
    /// What `Debug` says.
    pub(super) shown: &'static str,
    /// It subscribes to the topics that it publishes to.
    pub(super) listens: bool,
    pub(super) open: Mutex<Vec<Box<dyn Subscription>>>,
}

impl Front {
    /// Nothing is wrong with it.
    pub(super) fn of(memory: Memory) -> Self {
        Self { memory, connect: Arc::new(|| Ok(())), shown: "Front", listens: false, open: Mutex::default() }
    }
}

#[async_trait]
impl Broker for Front {
    fn name(&self) -> &'static str {
        "front"
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
        (self.connect)()?;
        self.memory.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        self.memory.disconnect().await
    }

    async fn health(&self) -> Result<()> {
        self.memory.health().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        if self.listens {
            let listening = self.memory.subscribe(topic, SubscribeOptions::new());
            // Memory does not wait.
            let subscription = futures_util::FutureExt::now_or_never(listening).unwrap().unwrap();
            self.open.lock().unwrap().push(subscription);
        }
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

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown)
    }
}
