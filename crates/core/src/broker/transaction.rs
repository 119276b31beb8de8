use std::fmt;

use async_trait::async_trait;

use super::{Delivery, Message, Receipts, Topic};
use crate::Result;

/// Publishing and settling that happen together or not at all: consume, process and produce exactly once.
///
/// Made by [`Broker::transaction`](super::Broker::transaction), where
/// [`Capability::transactions`](super::Capability::transactions) is declared. Dropped, it is aborted.
#[async_trait]
pub trait Transaction: fmt::Debug + Send {
    /// Enqueues messages that nobody sees before the commit.
    ///
    /// A receipt says that the server has the message, not that the transaction will be committed.
    fn publish(&mut self, topic: &Topic, messages: Vec<Message>) -> Receipts;

    /// Takes deliveries into the transaction: they are settled by its commit, and released by its end without one.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`](crate::Kind::InvalidArgument) if one is not of a queue of this broker;
    /// [`Kind::Conflict`](crate::Kind::Conflict) if one went to another member. The transaction takes none of them, and
    /// they are released.
    fn settle(&mut self, deliveries: Vec<Delivery>) -> Result<()>;

    /// Makes everything visible and settled at once.
    ///
    /// # Errors
    ///
    /// Nothing was done: a message was refused, or a delivery went to another member meanwhile. The deliveries are
    /// released. [`Kind::Timeout`](crate::Kind::Timeout) leaves it open which of the two happened.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Forgets everything; the deliveries are released.
    ///
    /// # Errors
    ///
    /// If the server could not be told: it forgets by itself when the transaction's time is over.
    async fn abort(self: Box<Self>) -> Result<()>;
}
