//! The broker contract, kept by every plugin.
//!
//! 1. [`Broker::publish`] enqueues at once and returns [`Receipts`]; a receipt is there when the server has the message
//!    for good. Dropping the receipts cancels nothing. [`Broker::ready`] waits while the queue is full; nothing is
//!    dropped.
//! 2. [`Broker::subscribe`] resolves when the subscription is live: what is published after it arrives.
//! 3. A [`Delivery`] is settled after its handler. Unsettled when its consumer dies: another member gets it.
//! 4. One [`Queue`]: each message to exactly one member. No queue: every subscriber gets every message.
//! 5. What a server cannot do is off in its [`Capability`]; asking for it is [`Kind::Unsupported`](crate::Kind), never
//!    silence.
//! 6. Order within a key, across members, where [`Capability::keys`] is on.
//! 7. Everything in flight is bounded by [`SubscribeOptions::in_flight`].
//! 8. Connections come back by themselves, with their subscriptions.
//! 9. Constructing does no I/O; errors name the address and hide the password.
//! 10. [`Broker::health`] says within [`HEALTH_LIMIT`] whether the server answers now.

mod capability;
mod delivery;
pub mod memory;
mod message;
mod options;
mod outcomes;
mod pattern;
mod reply;
mod settle;
mod topic;
mod transaction;

use std::any::Any;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use capability::Capability;
pub use delivery::{Delivery, DeliveryParts, Origin};
pub use memory::Memory;
pub use message::{Message, MessageOptions};
pub use options::{BrokerOptions, Start, SubscribeOptions};
pub use outcomes::{Outcomes, Promise};
pub use pattern::Pattern;
pub use reply::ReplyTo;
pub use settle::{Reason, Settle, Settled, Settlement, Settler, Token};
pub use topic::{Queue, Topic};
pub use transaction::Transaction;

use crate::{Error, Result};

/// How long [`Broker::health`] waits at most.
pub const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// The answers to a batch of published messages, one a message, in order.
pub type Receipts = Outcomes<Receipt>;

/// Says that the server has a message for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Receipt {
    /// Where it lies, on a server that says so.
    pub position: Option<Position>,
}

impl Receipt {
    /// Creates a receipt that names the position.
    #[must_use]
    pub const fn at(position: Position) -> Self {
        Self { position: Some(position) }
    }
}

/// Where a message lies in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// A partition and the offset in it.
    Offset {
        /// The partition, from 0.
        partition: u32,
        /// The offset in the partition, from 0.
        offset: u64,
    },
    /// A number in the whole topic.
    Sequence(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { partition, offset } => write!(f, "{partition}/{offset}"),
            Self::Sequence(sequence) => write!(f, "{sequence}"),
        }
    }
}

/// Carries messages between programs; one implementation is one broker plugin.
///
/// Everything is a batch: one message is a batch of one. Implementations are shared (`Arc<dyn Broker>`), cheap to call
/// from many tasks, and do no I/O when made.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Returns the plugin's name, as `--broker` takes it.
    fn name(&self) -> &'static str;

    /// Returns what this broker can do with its present options.
    fn capability(&self) -> Capability;

    /// Replaces the options; takes effect at the next [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::Kind::Config) for an unknown or contradicting setting.
    fn init(&self, options: BrokerOptions) -> Result<()>;

    /// Returns the options in force.
    fn options(&self) -> BrokerOptions;

    /// Returns where it is connected, without secrets: the servers, the folder.
    fn address(&self) -> String;

    /// Connects. Calling it again is nothing.
    ///
    /// # Errors
    ///
    /// Names the address, hides the password, says what to do. Never waits without a limit.
    async fn connect(&self) -> Result<()>;

    /// Sends what is queued, ends every subscription and closes. Calling it again is nothing.
    ///
    /// # Errors
    ///
    /// If something queued could not be sent; the receipts of those messages say the same.
    async fn disconnect(&self) -> Result<()>;

    /// Tells whether the server answers now; asks it, and waits no longer than [`HEALTH_LIMIT`].
    ///
    /// It mends nothing and changes nothing: connections come back by themselves.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect)'s, with the address: [`Kind::Unavailable`](crate::Kind::Unavailable) or
    /// [`Kind::Timeout`](crate::Kind::Timeout) while it does not answer, [`Kind::Closed`](crate::Kind::Closed) unless
    /// connected.
    ///
    /// Cancel-safe.
    async fn health(&self) -> Result<()>;

    /// Enqueues messages for a topic, at once and in order, and returns their receipts to come.
    ///
    /// Must be called within a tokio runtime. A message that cannot be sent (too large, bad header, not connected) gets
    /// its error as receipt; the others go on.
    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts;

    /// Waits until the queue to the server has room.
    ///
    /// # Errors
    ///
    /// [`Kind::Closed`](crate::Kind::Closed) once disconnected.
    ///
    /// Cancel-safe.
    async fn ready(&self) -> Result<()>;

    /// Subscribes and returns when the subscription is live.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) for an option that the capability does not declare.
    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>>;

    /// Subscribes to all topics of a pattern, those made later too, and returns when the subscription is live.
    ///
    /// Each delivery names its own topic. A queue is one of that name on each of the topics; the limit of
    /// [`in_flight`](SubscribeOptions::in_flight) holds over all of them. A topic made later is read from its beginning.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::wildcard`] is declared, and for an option that
    /// the capability does not declare; [`Kind::InvalidArgument`](crate::Kind::InvalidArgument) for a start at a position,
    /// which is one of a single topic.
    async fn subscribe_pattern(&self, pattern: &Pattern, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let _ = options;
        Err(Error::unsupported("this broker", "a pattern of topics")
            .operation("broker.subscribe")
            .with("pattern", pattern))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::transactions`] is declared.
    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        Err(Error::unsupported("this broker", "transactions"))
    }

    /// Publishes a request and waits for the first reply to it.
    ///
    /// Every subscriber of the topic gets the request as any other message, with a [`Delivery::reply_to`]; the replies after
    /// the first are dropped, as one that comes too late. Where the broker can, a request that nobody has taken within the
    /// time is not delivered after it, unless its own [`ttl`](Message::ttl) says otherwise.
    ///
    /// # Errors
    ///
    /// [`Kind::NoResponder`](crate::Kind::NoResponder) at once if nobody subscribes to the topic: surely not done.
    /// [`Kind::Timeout`](crate::Kind::Timeout) if no reply came within the time: it may have been done.
    /// [`Kind::ResourceExhausted`](crate::Kind::ResourceExhausted) if too many requests wait,
    /// [`Kind::Closed`](crate::Kind::Closed) once disconnected, and what a publish may fail with.
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::reply`] is declared.
    ///
    /// Dropping the future gives the reply up; the request may be handled all the same.
    async fn request(&self, topic: &Topic, message: Message, within: Duration) -> Result<Message> {
        let _ = (message, within);
        Err(Error::unsupported("this broker", "requests").operation("broker.request").with("topic", topic))
    }

    /// Sends the reply to a request; the receipt says that it is on its way, not that somebody still waits for it.
    ///
    /// It settles nothing: the delivery is acknowledged as any other. A message option, as a delay, is refused.
    ///
    /// The error in the receipt is [`Kind::InvalidArgument`](crate::Kind::InvalidArgument) for what is no address of a
    /// reply of this broker's, and [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::reply`] is
    /// declared.
    fn reply(&self, to: &ReplyTo, message: Message) -> Receipts {
        let _ = (to, message);
        Receipts::failed(1, &Error::unsupported("this broker", "replies").operation("broker.reply"))
    }

    /// Returns itself, for a caller that knows the plugin and wants the native client.
    fn as_any(&self) -> &dyn Any;
}

/// A live subscription: the pulling side of one subscriber.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Returns the topic; `None` if it is a pattern's, whose deliveries name theirs.
    fn topic(&self) -> Option<&Topic>;

    /// Returns the queue it shares, or `None` if it gets everything.
    fn queue(&self) -> Option<&Queue>;

    /// Waits for the next deliveries: at least one, at most `max`, and never more unsettled than the in-flight limit.
    ///
    /// `None` after [`stop`](Self::stop), or once the broker is disconnected. Connection losses are mended inside; an
    /// error is final. Cancel-safe: dropping the future loses no message.
    ///
    /// # Errors
    ///
    /// Only what a reconnect does not mend, as a topic that was deleted or a permission that was taken away.
    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>>;

    /// Stops pulling. What was fetched but not handed out is released; what was handed out may still be settled.
    async fn stop(&mut self);

    /// Stops, sends the settlements that are on their way and leaves the queue.
    ///
    /// # Errors
    ///
    /// If settlements could not be sent: those messages come again.
    async fn unsubscribe(self: Box<Self>) -> Result<()>;

    /// Stops pulling for a while without leaving the queue.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::pause`] is declared.
    async fn pause(&mut self) -> Result<()> {
        Err(Error::unsupported("this broker", "pausing a subscription"))
    }

    /// Goes on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::pause`] is declared.
    async fn resume(&mut self) -> Result<()> {
        Err(Error::unsupported("this broker", "resuming a subscription"))
    }

    /// Moves to another start; what is in flight may still be settled.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) unless [`Capability::seek`] is declared;
    /// [`Kind::NotFound`](crate::Kind::NotFound) for a position that is not there, and the old one stays.
    async fn seek(&mut self, start: Start) -> Result<()> {
        let _ = start;
        Err(Error::unsupported("this broker", "seeking"))
    }
}
