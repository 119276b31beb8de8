use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use micro_core::broker::{Message, Receipt, Receipts};
use micro_core::{Error, Kind, Result};
use tokio::time::Sleep;
use tracing::Span;

use super::Target;

/// The future behind [`Publish`](super::Publish).
///
/// Dropped after its message was enqueued, it cancels nothing.
#[must_use = "nothing is published before this is awaited"]
pub struct Publishing<'a> {
    target: &'a Target,
    state: State<'a>,
    timeout: Duration,
    /// Made only when something is not ready at once.
    timer: Option<Pin<Box<Sleep>>>,
    /// Ends with the publish.
    _span: Span,
}

enum State<'a> {
    Failed(Error),
    Start(Message),
    Room(BoxFuture<'a, Result<()>>, Message),
    Sent(Receipts),
    Done,
}

impl<'a> Publishing<'a> {
    pub(super) fn new(target: &'a Target, message: Result<(Message, Duration)>) -> Self {
        let (state, timeout) = match message {
            Ok((message, timeout)) => (State::Start(message), timeout),
            Err(error) => (State::Failed(error.operation("event.publish")), Duration::ZERO),
        };
        let traceparent = match &state {
            State::Start(message) => message.headers.get_str("traceparent"),
            _ => None,
        };
        let topic = target.topic.as_ref().map_or("", |topic| topic.as_str());
        let span = tracing::debug_span!("event.publish", topic, traceparent);
        Self { target, state, timeout, timer: None, _span: span }
    }

    /// Goes as far as the broker's queue.
    pub(super) async fn enqueue(mut self) -> Result<Receipts> {
        poll_fn(|context| self.poll_enqueue(context)).await?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Sent(receipts) => Ok(receipts),
            _ => Err(Error::new(Kind::Internal, "an enqueued event has its receipt to come")),
        }
    }

    fn poll_enqueue(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Start(message) => self.state = State::Room(self.target.settings.broker.ready(), message),
                State::Room(mut room, message) => match room.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => {
                        self.state =
                            State::Sent(self.target.settings.broker.publish(self.target.topic()?, vec![message]));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.target.locate(error))),
                    Poll::Pending => {
                        self.state = State::Room(room, message);
                        ready!(self.poll_timer(context));
                        self.state = State::Done;
                        return Poll::Ready(Err(self.target.no_room(self.timeout)));
                    }
                },
                State::Sent(receipts) => {
                    self.state = State::Sent(receipts);
                    return Poll::Ready(Ok(()));
                }
                State::Done => panic!("a publish was polled after it was done"),
            }
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout))).as_mut().poll(context)
    }

    fn poll_receipt(&mut self, context: &mut Context<'_>) -> Poll<Result<Receipt>> {
        ready!(self.poll_enqueue(context))?;
        let State::Sent(receipts) = &mut self.state else {
            return Poll::Ready(Err(Error::new(Kind::Internal, "an enqueued event has its receipt to come")));
        };
        let result = match Pin::new(receipts).poll(context) {
            Poll::Ready(results) => results
                .into_iter()
                .next()
                .unwrap_or_else(|| Err(Error::new(Kind::Internal, "the broker gave no receipt")))
                .map_err(|error| self.target.locate(error)),
            Poll::Pending => {
                ready!(self.poll_timer(context));
                Err(self.target.no_receipt(self.timeout))
            }
        };
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl Future for Publishing<'_> {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.poll_receipt(context));
        self.target.count(result.is_ok());
        Poll::Ready(result)
    }
}

impl Target {
    /// Says where it failed.
    pub(super) fn locate(&self, error: Error) -> Error {
        let topic = self.topic.as_ref().map_or("", |topic| topic.as_str());
        match error.context("topic") {
            Some(_) => error.operation("event.publish"),
            None => error.operation("event.publish").with("topic", topic),
        }
    }

    pub(super) fn no_room(&self, timeout: Duration) -> Error {
        let broker = &self.settings.broker;
        let text = format!(
            "the event was not published: the queue to the {} broker at {} stayed full for {timeout:?}; \
             publish slower, give a longer timeout, or look after the server",
            broker.name(),
            broker.address()
        );
        self.locate(Error::new(Kind::Timeout, text))
    }

    pub(super) fn no_receipt(&self, timeout: Duration) -> Error {
        let broker = &self.settings.broker;
        let text = format!(
            "the event was not confirmed by the {} broker at {} within {timeout:?}; it may be published yet: \
             publish it again if twice does no harm, and look whether the server is up",
            broker.name(),
            broker.address()
        );
        self.locate(Error::new(Kind::Timeout, text))
    }
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("topic", &self.target.topic.as_ref().ok()).finish_non_exhaustive()
    }
}
