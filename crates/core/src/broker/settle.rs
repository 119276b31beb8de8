use std::fmt;
use std::time::Duration;

use super::Outcomes;

/// The answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done.
    Ack,
    /// Not done; again after this pause.
    Retry(Duration),
    /// Not done, and never again.
    Reject(Reason),
    /// Not handled, because we are stopping: to another member at once, and no failure.
    Release,
}

/// Why a message is given up. `Display` is the word in the dead letter's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The body does not decode.
    Decode,
    /// The handler failed as often as it may.
    Failed,
    /// The handler said itself that trying again is no use.
    Rejected,
    /// The process died with this message too often.
    Crash,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "decode",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Crash => "crash",
        })
    }
}

/// A plugin's own number for one delivery, unique within its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// One answer on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlement {
    /// Which delivery.
    pub token: Token,
    /// The answer.
    pub settle: Settle,
    /// How often handlers have failed with it, this time included; comes back with the next delivery where the broker
    /// declares `attempts`.
    pub attempts: u32,
}

impl Settlement {
    /// Creates an answer.
    #[must_use]
    #[inline]
    pub fn new(token: Token, settle: Settle, attempts: u32) -> Self {
        Self { token, settle, attempts }
    }
}

/// The confirmations of settlements, one each, in order.
pub type Settled = Outcomes<()>;

/// Takes the answers of one subscription. A plugin implements it; it outlives the subscription's pulling.
pub trait Settler: fmt::Debug + Send + Sync + 'static {
    /// Enqueues answers at once. The outcome is there when the server has them; dropping it cancels nothing.
    ///
    /// Settling a token twice, or after the lease went to another member, is [`Kind::Conflict`](crate::Kind::Conflict)
    /// and changes nothing.
    fn settle(&self, answers: Vec<Settlement>) -> Settled;

    /// Says that the handlers of these are still at work, so that their lease goes on. A plugin that holds leases by
    /// connection or member does nothing.
    fn extend(&self, tokens: &[Token]) {
        let _ = tokens;
    }
}
