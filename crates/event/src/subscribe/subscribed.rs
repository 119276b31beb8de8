use std::fmt;
use std::time::Duration;

use micro_core::broker::{Queue, Start, Topic};
use micro_core::{Error, Kind, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::retry::FOREVER;

/// A subscriber at work.
///
/// Dropped, it stops as by [`stop`](Self::stop) with ten seconds, in the background.
#[must_use = "dropped, the subscription stops"]
pub struct Subscribed {
    topic: Topic,
    queue: Option<Queue>,
    stop: watch::Sender<Option<Instant>>,
    commands: mpsc::Sender<Command>,
    pump: JoinHandle<Result<()>>,
}

/// What a live subscription can be told.
pub(crate) enum Command {
    Pause(oneshot::Sender<Result<()>>),
    Resume(oneshot::Sender<Result<()>>),
    Seek(Start, oneshot::Sender<Result<()>>),
}

impl Subscribed {
    pub(crate) fn new(
        topic: Topic,
        queue: Option<Queue>,
        stop: watch::Sender<Option<Instant>>,
        commands: mpsc::Sender<Command>,
        pump: JoinHandle<Result<()>>,
    ) -> Self {
        Self { topic, queue, stop, commands, pump }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the queue it shares.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.as_ref()
    }

    /// Stops: pulls no more, lets handlers finish within the limit, releases the rest, sends the answers and leaves the
    /// queue.
    ///
    /// Nothing at a stop counts as a failure: a handler that is cancelled, or fails while stopping, leaves its message to
    /// the queue's other members. A batch that is being collected is handled. Goes on if the future is dropped.
    ///
    /// # Errors
    ///
    /// If answers could not be sent, so that their messages come again; or with what ended the subscription before.
    pub async fn stop(self, limit: Duration) -> Result<()> {
        let now = Instant::now();
        self.stop.send_replace(Some(now + limit.min(FOREVER)));
        match self.pump.await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(Error::new(Kind::Internal, "the subscription's task panicked").source(error)),
        }
    }

    /// Waits until the subscription ends without [`stop`](Self::stop): the broker was disconnected.
    ///
    /// Cancel-safe; must not be called again once it has returned.
    ///
    /// # Errors
    ///
    /// With what ended it.
    pub async fn ended(&mut self) -> Result<()> {
        match (&mut self.pump).await {
            Ok(result) => result,
            Err(error) => Err(Error::new(Kind::Internal, "the subscription's task is gone").source(error)),
        }
    }

    /// Stops pulling for a while without leaving the queue; what is here is still handled.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`] unless the broker declares it, [`Kind::Closed`] if the subscription ended.
    pub async fn pause(&self) -> Result<()> {
        self.command(Command::Pause).await
    }

    /// Goes on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`] unless the broker declares it, [`Kind::Closed`] if the subscription ended.
    pub async fn resume(&self) -> Result<()> {
        self.command(Command::Resume).await
    }

    /// Moves to another start; what is here is still handled.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`] unless the broker declares it, [`Kind::NotFound`] for a position that is not there,
    /// [`Kind::Closed`] if the subscription ended.
    pub async fn seek(&self, start: Start) -> Result<()> {
        self.command(|answer| Command::Seek(start, answer)).await
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let closed =
            || Error::new(Kind::Closed, "the subscription has ended; subscribe again").with("topic", &self.topic);
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed").field("topic", &self.topic).field("queue", &self.queue).finish_non_exhaustive()
    }
}
