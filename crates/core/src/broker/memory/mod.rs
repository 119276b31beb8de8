//! The broker that lives in this process: the contract, executable.
//!
//! Every capability that memory can have is on, so that a program tested against it meets every answer a broker may
//! give. Nothing survives the process.
//!
//! - A topic is a log of 16 partitions; a message's place is [`Position::Offset`](super::Position). A key lies always in
//!   the same partition. Messages are handed out in the order they came, over all partitions.
//! - The members of a queue share message by message: who asks gets the next ones, and what is in flight of a key stays
//!   with the member that has it, so that the order within a key holds across members.
//! - `start` says where a queue begins the first time. A queue that exists goes on where it was; `seek` moves it.
//! - A subscription that is dropped or unsubscribed may still settle what it was given, until the lease ends; a
//!   disconnect gives everything back at once.
//! - What a transaction publishes and settles is there at once, over all topics. It lies where it lies from its commit
//!   on: the receipts inside name no position, and pauses begin there. The leases of what it holds run on.
//! - A pattern's subscription is a member in each of its topics; a pull looks into all of them.
//! - A request is a message with a time to live, and its reply goes to whoever waits, past all topics. 65,536 requests may
//!   wait at once.
//! - A topic keeps 262,144 messages (`?limit=`) and 256 MiB. Live subscribers lose nothing: when one is that far behind,
//!   publishes wait, [`ready`](super::Broker::ready) too; a transaction goes in, and its commit returns when there is
//!   room again, or after 5 s. What only an absent queue has not read is dropped with a warning.

mod client;
mod flights;
mod following;
mod group;
mod keys;
mod log;
mod requests;
mod subscription;
mod topic;
mod transaction;
mod world;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::client::Client;
use self::following::{Following, PatternSubscription, check_start};
use self::group::Member;
use self::log::PARTITIONS;
use self::subscription::{MemorySubscription, Seat};
use self::transaction::MemoryTransaction;
use self::world::World;
use super::{
    Broker, BrokerOptions, Capability, Message, Outcomes, Pattern, Receipt, Receipts, ReplyTo, Start, SubscribeOptions,
    Subscription, Topic, Transaction,
};
use crate::{Error, Kind, Result};

/// How many messages a topic keeps, and how far a live subscriber may be behind.
const LIMIT: usize = 262_144;

/// How many bytes a topic keeps.
const MAX_BYTES: usize = 256 << 20;

/// From how many messages without room on `ready` waits, and from how many on they are refused.
const READY: usize = 4_096;
const REFUSE: usize = 65_536;

/// The broker that lives in this process.
///
/// [`Memory::new`] is a world of its own. A clone is another client of the same world: it connects, disconnects and
/// dies by itself, as another process would.
///
/// # Examples
///
/// ```
/// use micro_core::broker::{Broker, Memory, Message, Queue, SubscribeOptions, Topic};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let broker = Memory::new();
/// broker.connect().await?;
/// let topic = Topic::new("orders.created")?;
/// let options = SubscribeOptions::new().queue(Queue::new("warehouse")?);
/// let mut subscription = broker.subscribe(&topic, options).await?;
///
/// broker.publish(&topic, vec![Message::new("order 7")]).all().await?;
/// for delivery in subscription.next(16).await?.unwrap_or_default() {
///     assert_eq!(delivery.body(), "order 7");
///     delivery.ack().await?;
/// }
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Memory(Arc<Client>);

impl Memory {
    /// Creates a world of its own, not connected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(World::new(""))
    }

    /// Creates another client of the world of this name, which every part of the process finds by it.
    #[must_use]
    pub fn shared(name: &str) -> Self {
        Self::of(World::shared(name))
    }

    fn of(world: Arc<World>) -> Self {
        Self(Arc::new(Client::new(world, Self::full_capability(), BrokerOptions::new(), false)))
    }

    /// Declares less than it can, so that a test sees what a program does with a poorer broker.
    ///
    /// What is switched off here is refused, or not told: an attempt count, the number of deliveries. What memory cannot
    /// do stays off.
    #[must_use]
    pub fn restrict(self, change: impl FnOnce(&mut Capability)) -> Self {
        {
            let mut capability = self.0.capability.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut capability);
        }
        self
    }

    /// Returns how many subscriptions are open in its world, over all topics and clients, for a test that counts them.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.0.world.topics().iter().map(|topic| topic.lock().open()).sum()
    }

    /// Returns everything that memory can do.
    #[must_use]
    pub fn full_capability() -> Capability {
        Capability {
            persistent: false,
            queues: true,
            backlog: true,
            keys: true,
            replay: true,
            seek: true,
            pause: true,
            retry: true,
            attempts: true,
            lease: true,
            deliveries: true,
            dead_letter: false,
            delay: true,
            ttl: true,
            partition: true,
            deduplication: true,
            wildcard: true,
            transactions: true,
            reply: true,
            publish_time: true,
            header_case: true,
            max_body: None,
        }
    }

    /// Refuses what a subscription may not ask for, and one without a connection.
    fn check_options(&self, options: &SubscribeOptions) -> Result<()> {
        let capability = self.0.capability();
        for (asked, declared, what) in [
            (options.ordered, capability.keys, "order within a key across members"),
            (options.queue.is_some(), capability.queues, "queues"),
            (options.start.is_some_and(|start| start != Start::Latest), capability.replay, "a start position"),
        ] {
            if asked && !declared {
                return Err(Error::unsupported("memory", what));
            }
        }
        self.0.check_open()
    }

    fn check(message: &Message, capability: &Capability) -> Result<()> {
        message.check("memory", capability)?;
        match message.options().and_then(|options| options.partition) {
            Some(partition) if partition >= PARTITIONS => Err(Error::new(
                Kind::InvalidArgument,
                format!(
                    "there is no partition {partition}; a topic in memory has the partitions 0 to {}",
                    PARTITIONS - 1
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes another client of the same world, connected if this one is.
impl Clone for Memory {
    fn clone(&self) -> Self {
        let client = &self.0;
        let world = Arc::clone(&client.world);
        let other = Client::new(world, client.capability(), client.options(), false);
        if client.is_open() {
            // The options were read by the first connect, so that they are right.
            let _ = other.connect();
        }
        Self(Arc::new(other))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("world", &self.0.world.name).field("connected", &self.0.is_open()).finish()
    }
}

#[async_trait]
impl Broker for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capability(&self) -> Capability {
        self.0.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        options.address.check_params(&["limit", "max_body"])?;
        options.address.parsed::<usize>("limit")?;
        options.address.parsed::<usize>("max_body")?;
        *self.0.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
        Ok(())
    }

    fn options(&self) -> BrokerOptions {
        self.0.options()
    }

    fn address(&self) -> String {
        format!("memory://{}", self.0.world.name)
    }

    async fn connect(&self) -> Result<()> {
        if self.0.is_open() { Ok(()) } else { self.0.connect() }
    }

    async fn disconnect(&self) -> Result<()> {
        self.0.disconnect().await
    }

    async fn health(&self) -> Result<()> {
        self.0.check_open().map_err(|error| error.operation("broker.health").with("address", self.address()))
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        if let Err(error) = self.0.check_open() {
            return Outcomes::failed(messages.len(), &error.operation("broker.publish").with("topic", topic));
        }
        let capability = self.0.capability();
        let shared = self.0.world.topic(topic);
        let (wall, now) = (SystemTime::now(), Instant::now());
        let mut state = shared.lock();
        let room = state.room(&self.0);
        let count = messages.len();
        if count <= room {
            let results: Vec<Result<Receipt>> = messages
                .into_iter()
                .map(|message| {
                    Self::check(&message, &capability)?;
                    state.append(message, wall, now, self.0.limit())
                })
                .collect();
            state.appended(count, self.0.limit());
            return Outcomes::ready(results);
        }
        let (receipts, promise) = Outcomes::pending(count);
        let promise = Arc::new(promise);
        for (entry, message) in messages.into_iter().enumerate() {
            if let Err(error) = Self::check(&message, &capability) {
                promise.complete(entry, Err(error));
            } else if entry < room {
                promise.complete(entry, state.append(message, wall, now, self.0.limit()));
            } else if self.0.backlog() < REFUSE {
                state.block(message, entry, Arc::clone(&promise), Arc::clone(&self.0));
            } else {
                let text = format!(
                    "{REFUSE} messages wait for a subscriber that is too far behind; wait for ready before publishing"
                );
                promise.complete(entry, Err(Error::new(Kind::ResourceExhausted, text).with("topic", topic)));
            }
        }
        state.appended(count.min(room), self.0.limit());
        receipts
    }

    async fn ready(&self) -> Result<()> {
        self.0.room(READY, true).await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.check_options(&options).map_err(|error| error.operation("broker.subscribe").with("topic", topic))?;
        let notify = Arc::new(Notify::new());
        let member = Member::new(options.in_flight, self.0.lease(options.lease), options.ordered, Arc::clone(&notify));
        let shared = self.0.world.topic(topic);
        let id = self.0.world.next_member();
        let group = shared.lock().join(options.queue.as_ref(), options.start, id, member, Instant::now())?;
        self.0.joined(id, Arc::clone(&shared), group);
        let seat = Seat { client: Arc::clone(&self.0), topic: shared, group, member: id };
        let subscription = MemorySubscription::new(seat, options.queue, notify);
        // A disconnect that ran meanwhile did not see it.
        self.0.check_open()?;
        Ok(Box::new(subscription))
    }

    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let begin = || {
            if !self.0.capability().wildcard {
                return Err(Error::unsupported("memory", "a pattern of topics"));
            }
            self.check_options(&options)?;
            options.start.map_or(Ok(()), check_start)?;
            let subscription =
                PatternSubscription::begin(Following::new(Arc::clone(&self.0), pattern.clone(), options.clone()))?;
            // A disconnect that ran meanwhile did not see it.
            self.0.check_open()?;
            Ok(subscription)
        };
        match begin() {
            Ok(subscription) => Ok(Box::new(subscription)),
            Err(error) => Err(error.operation("broker.subscribe").with("pattern", pattern)),
        }
    }

    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        if !self.0.capability().transactions {
            return Err(Error::unsupported("memory", "transactions").operation("broker.transaction"));
        }
        self.0.check_open().map_err(|error| error.operation("broker.transaction"))?;
        Ok(Box::new(MemoryTransaction::new(Arc::clone(&self.0))))
    }

    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        let replied = requests::request(&self.0, topic, message, within).await;
        replied.map_err(|error| error.operation("broker.request").with("topic", topic))
    }

    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        let sent = requests::reply(&self.0, to, message);
        Outcomes::ready(vec![sent.map_err(|error| error.operation("broker.reply"))])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// No pause is too long for a clock: ten years are as good as for ever.
fn later(now: Instant, pause: Duration) -> Instant {
    now + pause.min(Duration::from_secs(10 * 365 * 86_400))
}
