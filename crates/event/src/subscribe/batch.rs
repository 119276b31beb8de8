use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::codec::Payload;
use micro_core::{Context, Error, Headers, Kind, Result};

use crate::decode::decode;
use crate::failure::Failure;
use crate::run::Job;

/// What a batch handler returns: one answer for all, or one an event, in order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to a batch of events",
    note = "return `Result<()>` for all of them, or `Vec<Result<()>>` with one answer an event, in order"
)]
pub trait BatchOutcome: Send + 'static {
    /// Returns one answer an event.
    fn into_results(self, events: usize) -> Vec<Result<()>>;
}

impl BatchOutcome for Result<()> {
    fn into_results(self, events: usize) -> Vec<Result<()>> {
        (0..events).map(|_| self.as_ref().copied().map_err(Error::duplicate)).collect()
    }
}

/// An answer that is missing counts as a failure.
impl BatchOutcome for Vec<Result<()>> {
    fn into_results(mut self, events: usize) -> Vec<Result<()>> {
        let given = self.len();
        self.resize_with(events, || {
            Err(Error::new(
                Kind::Internal,
                format!("the batch handler gave {given} answers to {events} events; give one each"),
            ))
        });
        self
    }
}

impl BatchOutcome for Result<Vec<Result<()>>> {
    fn into_results(self, events: usize) -> Vec<Result<()>> {
        match self {
            Ok(results) => results.into_results(events),
            Err(error) => Err::<(), _>(error).into_results(events),
        }
    }
}

/// A function that handles batches: `async fn(Context, Vec<T>) -> impl BatchOutcome`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle batches of events of type `{T}`",
    label = "not an `async fn(Context, Vec<{T}>)` that returns `Result<()>` or `Vec<Result<()>>`"
)]
pub trait EventsHandler<T>: Fn(Context, Vec<T>) -> <Self as EventsHandler<T>>::Future + Send + Sync + 'static {
    /// What it answers.
    type Outcome: BatchOutcome;
    /// What it returns.
    type Future: Future<Output = <Self as EventsHandler<T>>::Outcome> + Send + 'static;
}

impl<T, F, Fut, O> EventsHandler<T> for F
where
    F: Fn(Context, Vec<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
    O: BatchOutcome,
{
    type Outcome = O;
    type Future = Fut;
}

/// One answer an event.
pub(crate) type Answers = Vec<Result<(), Failure>>;

/// A batch handler whose type is forgotten.
pub(crate) trait BatchHandler: Send + Sync {
    /// Handles messages; one answer each.
    fn handle<'a>(&'a self, context: Context, jobs: &'a [Job]) -> BoxFuture<'a, Answers>;

    /// The same, of messages that are not in a worker's hands.
    fn handle_shared(self: Arc<Self>, context: Context, messages: Arc<[Shared]>) -> BoxFuture<'static, Answers>;
}

/// A message of a batch, as middleware may have it handled more than once.
pub(crate) struct Shared {
    topic: Arc<str>,
    headers: Headers,
    body: Bytes,
}

impl Shared {
    pub(crate) fn of(job: &Job) -> Self {
        let parts = job.delivery.parts();
        let (topic, message) = (parts.origin.topic.as_str().into(), &parts.message);
        Self { topic, headers: message.headers.clone(), body: message.body.clone() }
    }
}

pub(crate) struct TypedBatch<T, H>(H, PhantomData<fn(T)>);

impl<T, H> TypedBatch<T, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<T: Payload, H: EventsHandler<T>> TypedBatch<T, H> {
    /// Handles what could be read.
    async fn run(&self, context: Context, read: impl ExactSizeIterator<Item = Result<T, Failure>>) -> Answers {
        let mut values = Vec::with_capacity(read.len());
        let mut answers: Answers = read.map(|read| read.map(|value| values.push(value))).collect();
        let events = values.len();
        if events > 0 {
            let mut results = (self.0)(context, values).await.into_results(events).into_iter();
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = results.next().unwrap_or(Ok(())).map_err(Failure::from);
            }
        }
        answers
    }
}

impl<T: Payload, H: EventsHandler<T>> BatchHandler for TypedBatch<T, H> {
    fn handle<'a>(&'a self, context: Context, jobs: &'a [Job]) -> BoxFuture<'a, Answers> {
        Box::pin(async move {
            let read = jobs.iter().map(|job| {
                let parts = job.delivery.parts();
                decode(parts.origin.topic.as_str(), &parts.message.headers, parts.message.body.clone())
            });
            self.run(context, read).await
        })
    }

    fn handle_shared(self: Arc<Self>, context: Context, messages: Arc<[Shared]>) -> BoxFuture<'static, Answers> {
        Box::pin(async move {
            let read = messages.iter().map(|message| decode(&message.topic, &message.headers, message.body.clone()));
            self.run(context, read).await
        })
    }
}
