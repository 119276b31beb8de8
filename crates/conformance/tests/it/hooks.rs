//! A memory broker whose life goes wrong: clients, subscriptions and their ends.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Delivery, Memory, Message, Outcomes, Pattern, Position, Queue, Receipts,
    ReplyTo, Settle, Settlement, Start, SubscribeOptions, Subscription, Topic,
};
use micro_core::{Error, Kind, Result};
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct World {
    ended: watch::Sender<bool>,
    runtime: Mutex<Option<Id>>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { ended: watch::Sender::new(false), runtime: Mutex::default() })
    }
}

/// What is wrong; nothing as it is made.
#[derive(Debug)]
pub(crate) struct Hooks {
    memory: Memory,
    pub(crate) pauses: bool,
    pub(crate) loses_in_pause: bool,
    /// So many are pulled at least.
    pub(crate) least: usize,
    /// A pull brings an empty list.
    pub(crate) empty: bool,
    pub(crate) seeks: bool,
    pub(crate) seeks_anywhere: bool,
    /// A seek to nowhere is refused, and loses what was not read.
    pub(crate) seeks_and_refuses: bool,
    /// A seek to nowhere says only that it failed.
    pub(crate) seeks_vaguely: bool,
    /// A seek by a number that this broker has not succeeds.
    pub(crate) seeks_any_kind: bool,
    /// What was taken when a waiting next is dropped is taken for done.
    pub(crate) forgets: bool,
    pub(crate) stops: bool,
    pub(crate) ends_once: bool,
    pub(crate) ends_waiting: bool,
    pub(crate) drops_all: bool,
    pub(crate) disconnects: bool,
    pub(crate) leaves: bool,
    pub(crate) leaves_all: bool,
    pub(crate) apart: bool,
    pub(crate) ends_all: bool,
    pub(crate) one_runtime: bool,
    /// What is asked of a closed client fails as if it were a bug.
    pub(crate) vague_end: bool,
}

impl Hooks {
    pub(crate) fn of(memory: Memory) -> Self {
        Self {
            memory,
            pauses: true,
            loses_in_pause: false,
            least: 0,
            empty: false,
            seeks: true,
            seeks_anywhere: false,
            seeks_and_refuses: false,
            seeks_vaguely: false,
            seeks_any_kind: false,
            forgets: false,
            stops: true,
            ends_once: false,
            ends_waiting: true,
            drops_all: false,
            disconnects: true,
            leaves: true,
            leaves_all: false,
            apart: false,
            ends_all: false,
            one_runtime: false,
            vague_end: false,
        }
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Hooked {
    hooks: Arc<Hooks>,
    world: Arc<World>,
    disconnects: Mutex<u32>,
}

impl Hooked {
    pub(crate) fn new(mut hooks: Hooks, world: Arc<World>) -> Self {
        if hooks.apart {
            hooks.memory = Memory::new();
        }
        Self { hooks: Arc::new(hooks), world, disconnects: Mutex::default() }
    }

    fn check(&self) -> Result<()> {
        let mut runtime = self.world.runtime.lock().unwrap();
        let here = Handle::current().id();
        let there = *runtime.get_or_insert(here);
        match (self.hooks.one_runtime && here != there) || *self.world.ended.borrow() {
            true => Err(Error::new(Kind::Closed, "not here, or not any more")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Broker for Hooked {
    fn name(&self) -> &'static str {
        self.hooks.memory.name()
    }

    fn capability(&self) -> Capability {
        self.hooks.memory.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.hooks.memory.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.hooks.memory.options()
    }

    fn address(&self) -> String {
        self.hooks.memory.address()
    }

    async fn connect(&self) -> Result<()> {
        self.hooks.memory.connect().await
    }

    async fn disconnect(&self) -> Result<()> {
        let times = {
            let mut times = self.disconnects.lock().unwrap();
            *times += 1;
            *times
        };
        if self.hooks.ends_once && times > 1 {
            return Err(Error::new(Kind::Closed, "it is closed already"));
        }
        if self.hooks.ends_all {
            self.world.ended.send_replace(true);
        }
        if self.hooks.disconnects { self.hooks.memory.disconnect().await } else { Ok(()) }
    }

    async fn health(&self) -> Result<()> {
        self.hooks.memory.health().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        match self.check() {
            Ok(()) => self.hooks.memory.publish(topic, messages),
            Err(error) => Outcomes::failed(messages.len(), &error),
        }
    }

    async fn ready(&self) -> Result<()> {
        self.hooks.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.check()?;
        let inner = self.hooks.memory.subscribe(topic, options).await.map_err(|error| match self.hooks.vague_end {
            true => Error::new(Kind::Internal, "there is nothing to subscribe to"),
            false => error,
        })?;
        let (hooks, world) = (Arc::clone(&self.hooks), Arc::clone(&self.world));
        Ok(Box::new(HookedSubscription { inner, hooks, world, paused: false }))
    }

    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.check()?;
        let inner = self.hooks.memory.subscribe_pattern(pattern, options).await?;
        let (hooks, world) = (Arc::clone(&self.hooks), Arc::clone(&self.world));
        Ok(Box::new(HookedSubscription { inner, hooks, world, paused: false }))
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        self.hooks.memory.request(topic, message, within).await
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        self.hooks.memory.reply(to, message)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        if self.hooks.drops_all {
            self.world.ended.send_replace(true);
        }
    }
}

struct HookedSubscription {
    inner: Box<dyn Subscription>,
    hooks: Arc<Hooks>,
    world: Arc<World>,
    paused: bool,
}

#[async_trait]
impl Subscription for HookedSubscription {
    fn topic(&self) -> Option<&Topic> {
        self.inner.topic()
    }

    fn queue(&self) -> Option<&Queue> {
        self.inner.queue()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        if *self.world.ended.borrow() {
            return Ok(None);
        }
        if self.hooks.empty {
            return Ok(Some(Vec::new()));
        }
        let next = self.inner.next(max.max(self.hooks.least)).await?;
        if self.hooks.forgets {
            let mut taken = Forgetful(next.unwrap_or_default());
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let taken = std::mem::take(&mut taken.0);
            return Ok((!taken.is_empty()).then_some(taken));
        }
        if next.is_none() && !self.hooks.ends_waiting {
            std::future::pending::<()>().await;
        }
        Ok(next)
    }

    async fn stop(&mut self) {
        if self.hooks.stops {
            self.inner.stop().await;
        }
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        if self.hooks.leaves_all {
            self.world.ended.send_replace(true);
        }
        if !self.hooks.leaves {
            std::future::pending::<()>().await;
        }
        self.inner.unsubscribe().await
    }

    async fn pause(&mut self) -> Result<()> {
        self.paused = true;
        if self.hooks.pauses { self.inner.pause().await } else { Ok(()) }
    }

    async fn resume(&mut self) -> Result<()> {
        if self.hooks.pauses {
            self.inner.resume().await?;
        }
        if self.hooks.loses_in_pause
            && let Some(lost) = self.inner.next(3).await?
        {
            for delivery in lost {
                let answer = Settlement::new(delivery.token(), Settle::Ack, 0);
                delivery.settler().settle(vec![answer]).all().await?;
                std::mem::forget(delivery);
            }
        }
        Ok(())
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        let far = matches!(start, Start::At(Position::Offset { offset, .. }) if offset > 1_000);
        if self.hooks.seeks_anywhere && far {
            return self.inner.seek(Start::Earliest).await;
        }
        if self.hooks.seeks_any_kind && matches!(start, Start::At(Position::Sequence(_))) {
            return Ok(());
        }
        if far && self.hooks.seeks_vaguely {
            return Err(Error::new(Kind::Internal, "it cannot be done"));
        }
        if far && self.hooks.seeks_and_refuses {
            self.inner.seek(Start::Latest).await?;
        }
        let there = matches!(start, Start::At(Position::Offset { offset: ..=5, partition: ..=15 }));
        if self.hooks.seeks || !there { self.inner.seek(start).await } else { Ok(()) }
    }
}

/// What it holds when it is dropped is acknowledged.
struct Forgetful(Vec<Delivery>);

impl Drop for Forgetful {
    fn drop(&mut self) {
        for delivery in std::mem::take(&mut self.0) {
            drop(delivery.settler().settle(vec![Settlement::new(delivery.token(), Settle::Ack, 0)]));
        }
    }
}

impl fmt::Debug for HookedSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
