use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Message, Position, Queue, Reason, ReplyTo, Settle, Settlement, Settler, Token, Topic};
use crate::{Headers, Result};

/// One message handed to one subscriber.
///
/// It is answered by [`ack`](Self::ack), [`retry`](Self::retry), [`reject`](Self::reject) or
/// [`release`](Self::release), which consume it, so that it cannot be answered twice. Dropped unanswered, it is released
/// and comes again.
pub struct Delivery {
    parts: Option<DeliveryParts>,
}

/// Where deliveries come from, and who takes their answers: the same for all of a subscription.
#[derive(Debug)]
#[non_exhaustive]
pub struct Origin {
    /// The topic.
    pub topic: Topic,
    /// The queue they are given to.
    pub queue: Option<Queue>,
    /// Who takes the answers.
    pub settler: Arc<dyn Settler>,
}

impl Origin {
    /// Creates one, to be shared by deliveries. A plugin whose subscriptions are busy makes one for each pull: handlers on
    /// another thread then do not fight with it for one count.
    #[must_use]
    pub fn new(topic: Topic, queue: Option<Queue>, settler: Arc<dyn Settler>) -> Arc<Self> {
        Arc::new(Self { topic, queue, settler })
    }
}

/// What a delivery is made of; see [`Delivery::from_parts`].
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryParts {
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// Headers, key and body.
    pub message: Message,
    /// The id of the message: `Micro-Id`, else the server's own, else its position; empty if there is none.
    pub id: Bytes,
    /// How often handlers have failed with it so far, counted by us.
    pub attempts: u32,
    /// How often the server has handed it out, this time included, where it counts.
    pub deliveries: Option<u32>,
    /// When it was published.
    pub published: Option<SystemTime>,
    /// Where it lies.
    pub position: Option<Position>,
    /// The plugin's number for it.
    pub token: Token,
}

impl DeliveryParts {
    /// Creates parts with what every plugin knows.
    #[must_use]
    #[inline]
    pub fn new(origin: Arc<Origin>, message: Message, token: Token) -> Self {
        Self {
            origin,
            message,
            id: Bytes::new(),
            attempts: 0,
            deliveries: None,
            published: None,
            position: None,
            token,
        }
    }
}

impl Delivery {
    /// Puts a delivery together; a plugin's side.
    #[must_use]
    #[inline]
    pub fn from_parts(parts: DeliveryParts) -> Self {
        Self { parts: Some(parts) }
    }

    /// Takes a delivery apart; the one who does so must settle the token.
    ///
    /// # Panics
    ///
    /// Never: the parts are there until the delivery is consumed.
    #[must_use]
    #[inline]
    pub fn into_parts(mut self) -> DeliveryParts {
        self.parts.take().expect("a delivery has its parts until it is consumed")
    }

    /// Returns what it is made of.
    ///
    /// # Panics
    ///
    /// After [`disarm`](Self::disarm).
    #[must_use]
    #[inline]
    pub fn parts(&self) -> &DeliveryParts {
        self.parts.as_ref().expect("a delivery has its parts until it is consumed")
    }

    /// Returns what it is made of, to be changed; a layer's side.
    ///
    /// # Panics
    ///
    /// After [`disarm`](Self::disarm).
    #[must_use]
    #[inline]
    pub fn parts_mut(&mut self) -> &mut DeliveryParts {
        self.parts.as_mut().expect("a delivery has its parts until it is consumed")
    }

    /// Lets its parts go without an answer, as [`into_parts`](Self::into_parts) but where it lies; the one who does so
    /// must settle the token.
    #[inline]
    pub fn disarm(&mut self) {
        self.parts = None;
    }

    /// Returns the topic it came from.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.parts().origin.topic
    }

    /// Returns the queue it was given to.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.parts().origin.queue.as_ref()
    }

    /// Returns headers, key and body.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.parts().message
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.message().headers
    }

    /// Returns the key.
    #[must_use]
    #[inline]
    pub fn key(&self) -> Option<&Bytes> {
        self.message().key.as_ref()
    }

    /// Returns the body.
    #[must_use]
    #[inline]
    pub fn body(&self) -> &Bytes {
        &self.message().body
    }

    /// Returns the id of the message: `Micro-Id`, else the server's own, else its position.
    #[must_use]
    pub fn id(&self) -> &Bytes {
        &self.parts().id
    }

    /// Returns how often handlers have failed with it so far.
    #[must_use]
    #[inline]
    pub fn attempts(&self) -> u32 {
        self.parts().attempts
    }

    /// Returns how often the server has handed it out, this time included, where it counts.
    #[must_use]
    pub fn deliveries(&self) -> Option<u32> {
        self.parts().deliveries
    }

    /// Returns when it was published.
    #[must_use]
    pub fn published(&self) -> Option<SystemTime> {
        self.parts().published
    }

    /// Returns where it lies.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.parts().position
    }

    /// Returns where a reply to it goes, if it is a request; for [`Broker::reply`](super::Broker::reply).
    #[must_use]
    pub fn reply_to(&self) -> Option<ReplyTo> {
        self.headers().get_bytes(ReplyTo::HEADER).cloned().map(ReplyTo::new)
    }

    /// Returns the plugin's number for it.
    #[must_use]
    #[inline]
    pub fn token(&self) -> Token {
        self.parts().token
    }

    /// Returns who takes the answer, for one who extends or settles many at once.
    #[must_use]
    #[inline]
    pub fn settler(&self) -> &Arc<dyn Settler> {
        &self.parts().origin.settler
    }

    /// Answers: done. Resolves when the server knows; the answer is on its way even if the future is dropped.
    ///
    /// # Errors
    ///
    /// If the server could not be told: the message may come again.
    pub async fn ack(self) -> Result<()> {
        self.settle(Settle::Ack, 0).await
    }

    /// Answers: not done, again after this pause. Counts as a failure.
    ///
    /// # Errors
    ///
    /// If the server could not be told: the message comes again when the lease is over.
    pub async fn retry(self, after: Duration) -> Result<()> {
        self.settle(Settle::Retry(after), 1).await
    }

    /// Answers: not done, and never again.
    ///
    /// # Errors
    ///
    /// If the server could not be told: the message may come again.
    pub async fn reject(self, reason: Reason) -> Result<()> {
        self.settle(Settle::Reject(reason), 1).await
    }

    /// Answers: not handled, because we are stopping.
    ///
    /// # Errors
    ///
    /// If the server could not be told: the message comes again when the lease is over.
    pub async fn release(self) -> Result<()> {
        self.settle(Settle::Release, 0).await
    }

    fn settle(self, settle: Settle, failures: u32) -> impl Future<Output = Result<()>> + Send {
        let parts = self.into_parts();
        let answer = Settlement::new(parts.token, settle, parts.attempts.saturating_add(failures));
        parts.origin.settler.settle(vec![answer]).first()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            drop(parts.origin.settler.settle(vec![Settlement::new(parts.token, Settle::Release, parts.attempts)]));
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.parts, f)
    }
}

impl fmt::Debug for DeliveryParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.origin.topic)
            .field("queue", &self.origin.queue)
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .field("position", &self.position)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
