//! The two directions of a streaming call.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use micro_core::codec::{Format, Payload};
use micro_core::{Error, Kind, Result};

use crate::client::Answers;
use crate::wire::messages::Messages;
use crate::wire::outbox::Outbox;

/// The sending direction of a stream.
///
/// At the client, dropping it ends the direction. In a handler it ends when the handler returns.
pub struct Sender<T> {
    outbox: Arc<Outbox>,
    format: Format,
    limit: usize,
    ends: bool,
    of: PhantomData<fn(T)>,
}

impl<T: Payload> Sender<T> {
    pub(crate) fn new(outbox: Arc<Outbox>, format: Format, limit: usize) -> Self {
        Self { outbox, format, limit, ends: false, of: PhantomData }
    }

    /// The same, whose drop ends the direction.
    pub(crate) fn ending(outbox: Arc<Outbox>, format: Format, limit: usize) -> Self {
        Self { outbox, format, limit, ends: true, of: PhantomData }
    }

    /// Sends a message: waits while 32 KiB wait already, because the other side reads slowly.
    ///
    /// Messages sent without a pause between them leave together. Cancel-safe: dropped while it waits, nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Kind::Cancelled`] or [`Kind::Closed`] when the other side is gone or has ended the call, [`Kind::Timeout`] when the
    /// call's time is over, [`Kind::TooLarge`] or [`Kind::Encode`] for the message, which then is not sent.
    pub async fn send(&self, message: T) -> Result<()> {
        self.send_ref(&message).await
    }

    pub(crate) async fn send_ref(&self, message: &T) -> Result<()> {
        poll_fn(|cx| self.outbox.poll_send(message, self.format, self.limit, cx)).await
    }
}

impl<T> Sender<T> {
    pub(crate) fn close(&self) {
        self.outbox.close();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.ends {
            self.outbox.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("format", &self.format).finish_non_exhaustive()
    }
}

/// The receiving direction of a stream.
///
/// At the client, dropping it before its end cancels the call.
pub struct Receiver<T> {
    source: Source,
    format: Format,
    of: PhantomData<fn() -> T>,
}

impl<T: Payload> Receiver<T> {
    pub(crate) fn new(source: Source, format: Format) -> Self {
        Self { source, format, of: PhantomData }
    }

    /// Waits for the next message; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// At the client, the error the call ended with. In a handler, [`Kind::Cancelled`] or [`Kind::Unavailable`] when the
    /// caller went away. On both sides [`Kind::Decode`] for a message that does not decode; the next can still be received.
    pub async fn recv(&mut self) -> Result<Option<T>> {
        match self.source.next().await? {
            Some(body) => T::decode(self.format, body).map(Some),
            None => Ok(None),
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("format", &self.format).finish_non_exhaustive()
    }
}

/// Where bodies come from.
pub(crate) enum Source {
    Server(Messages),
    Client(Box<Answers>),
}

impl Source {
    pub(crate) fn server(messages: Messages) -> Self {
        Self::Server(messages)
    }

    pub(crate) fn client(answers: Box<Answers>) -> Self {
        Self::Client(answers)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        match self {
            Self::Server(messages) => messages.poll_next(cx),
            Self::Client(answers) => answers.poll_next(cx),
        }
    }
}

/// A call that takes many messages and answers with one.
///
/// Dropped without [`finish`](Self::finish), the call is cancelled.
#[derive(Debug)]
pub struct ClientStream<Q: Payload, R: Payload> {
    sender: Sender<Q>,
    receiver: Receiver<R>,
}

impl<Q: Payload, R: Payload> ClientStream<Q, R> {
    pub(crate) fn new(sender: Sender<Q>, receiver: Receiver<R>) -> Self {
        Self { sender, receiver }
    }

    /// Sends a message, as [`Sender::send`] does.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]. If the other side ended the call, [`finish`](Self::finish) tells why.
    pub async fn send(&self, message: &Q) -> Result<()> {
        self.sender.send_ref(message).await
    }

    /// Ends the messages and waits for the answer.
    ///
    /// # Errors
    ///
    /// The error the call ended with.
    pub async fn finish(mut self) -> Result<R> {
        self.sender.close();
        let answer = self.receiver.recv().await?.ok_or_else(|| {
            Error::new(Kind::Internal, "the call ended well but without an answer; the other side breaks the protocol")
        })?;
        // The status comes behind the answer.
        self.receiver.source.next().await?;
        Ok(answer)
    }
}

/// A call that takes and gives many messages, both at once.
#[derive(Debug)]
pub struct Stream<Q: Payload, R: Payload> {
    sender: Sender<Q>,
    receiver: Receiver<R>,
}

impl<Q: Payload, R: Payload> Stream<Q, R> {
    pub(crate) fn new(sender: Sender<Q>, receiver: Receiver<R>) -> Self {
        Self { sender, receiver }
    }

    /// Sends a message, as [`Sender::send`] does.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]. If the other side ended the call, [`recv`](Self::recv) tells why.
    pub async fn send(&self, message: &Q) -> Result<()> {
        self.sender.send_ref(message).await
    }

    /// Waits for the next message; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    pub async fn recv(&mut self) -> Result<Option<R>> {
        self.receiver.recv().await
    }

    /// Ends the sending direction; the other goes on.
    pub fn close_send(&self) {
        self.sender.close();
    }

    /// Takes the directions apart, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender<Q>, Receiver<R>) {
        (self.sender, self.receiver)
    }
}
