use std::time::{Duration, SystemTime};

use super::{Position, Queue};
use crate::address::Address;

/// How a broker reaches its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerOptions {
    /// The servers, the account and the plugin's own parameters.
    pub address: Address,
    /// The name that the program shows to the server, where it takes one.
    pub client_id: Option<String>,
}

impl BrokerOptions {
    /// Creates options with nothing set: the plugin's default address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// Sets the name that the program shows to the server.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest message that is kept.
    Earliest,
    /// With what is published from now on.
    Latest,
    /// With the message at a position, and in its partition only.
    At(Position),
    /// With the first message published at this time or later.
    Time(SystemTime),
}

/// What a subscriber asks for.
///
/// # Examples
///
/// ```
/// use micro_core::broker::{Queue, SubscribeOptions};
///
/// let options = SubscribeOptions::new().queue(Queue::new("warehouse")?).in_flight(64);
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// The queue to share, or `None` to get everything.
    pub queue: Option<Queue>,
    /// Where to begin. Unset: a queue begins at the earliest the first time; without a queue it is the latest. A queue that
    /// exists goes on where it was, whatever this says: a restart must neither skip nor repeat. Its way to another place
    /// is [`Subscription::seek`](super::Subscription::seek).
    pub start: Option<Start>,
    /// How many deliveries may be unsettled at once. Default 1,024.
    pub in_flight: usize,
    /// How long a member that does not answer keeps what it was given. Default 30 s. A dead process is noticed sooner
    /// where the server can tell.
    pub lease: Duration,
    /// Order within a key must hold across members: refused where the broker does not declare `keys`.
    pub ordered: bool,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { queue: None, start: None, in_flight: 1024, lease: Duration::from_secs(30), ordered: false }
    }
}

impl SubscribeOptions {
    /// Creates options for a subscriber that gets everything from now on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the queue to share.
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets where to begin.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// Sets how many deliveries may be unsettled at once; 0 counts as 1.
    #[must_use]
    pub fn in_flight(mut self, limit: usize) -> Self {
        self.in_flight = limit.max(1);
        self
    }

    /// Sets how long a silent member keeps what it was given.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Asks for order within a key across members.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }
}
