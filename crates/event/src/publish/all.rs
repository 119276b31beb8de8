use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use micro_core::broker::{Message, Receipt, Receipts};
use micro_core::codec::{Format, Payload};
use micro_core::{Context, Error, Kind, Result};
use tokio::time::{Instant, timeout_at};

use super::{Options, Resolved, Target};

/// How many messages go to the broker in one call.
const CHUNK: usize = 256;

/// Many events on their way: await it for one result each, in order.
///
/// One bad event does not hold up the others: its own result says why.
#[must_use = "nothing is published before this is awaited"]
pub struct PublishAll<'a, T> {
    target: &'a Target,
    values: &'a [T],
    key: Option<Key<'a, T>>,
    options: Options,
}

type Key<'a, T> = Box<dyn Fn(&T) -> Option<Bytes> + Send + Sync + 'a>;

impl<'a, T: Payload> PublishAll<'a, T> {
    pub(super) fn new(target: &'a Target, values: &'a [T]) -> Self {
        Self { target, values, key: None, options: Options::default() }
    }

    /// Sets how the key follows from the value; `None` is no key.
    pub fn key(mut self, key: impl Fn(&T) -> Option<Bytes> + Send + Sync + 'a) -> Self {
        self.key = Some(Box::new(key));
        self
    }

    /// Adds a header to every event.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<Bytes>) -> Self {
        self.options.header(name.as_ref(), value);
        self
    }

    /// Sets how long to wait for all receipts, instead of 30 s. The current context's deadline shortens it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets the format, instead of the type's own first.
    pub fn content_type(mut self, format: Format) -> Self {
        self.options.format = Some(format);
        self
    }

    /// Sets the context whose metadata and deadline they inherit, instead of the current one.
    pub fn context(mut self, context: &Context) -> Self {
        self.options.context = Some(context.clone());
        self
    }

    async fn run(self) -> Vec<Result<Receipt>> {
        let Self { target, values, key, options } = self;
        let resolved = match options.resolve::<T>(target) {
            Ok(resolved) => resolved,
            Err(error) => return fail(target, values.len(), &error.operation("event.publish")),
        };
        let deadline = Instant::now() + resolved.timeout;
        let mut sent = Vec::with_capacity(values.len().div_ceil(CHUNK));
        let mut stopped = None;
        for chunk in values.chunks(CHUNK) {
            if stopped.is_none() {
                match timeout_at(deadline, target.settings.broker.ready()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => stopped = Some(target.locate(error)),
                    Err(_) => stopped = Some(target.no_room(resolved.timeout)),
                }
            }
            sent.push(match &stopped {
                None => enqueue(target, &resolved, chunk, key.as_ref()),
                Some(error) => Sent::failed(chunk.len(), error),
            });
        }
        let mut results = Vec::with_capacity(values.len());
        for chunk in sent {
            results.extend(chunk.results(target, deadline, resolved.timeout).await);
        }
        for result in &results {
            target.count(result.is_ok());
        }
        results
    }
}

/// A chunk in the broker's hands, and the events of it that did not get so far.
struct Sent {
    receipts: Receipts,
    entries: usize,
    /// By place in the chunk, ascending.
    bad: Vec<(usize, Error)>,
}

impl Sent {
    fn failed(entries: usize, error: &Error) -> Self {
        Self { receipts: Receipts::failed(entries, error), entries, bad: Vec::new() }
    }

    async fn results(self, target: &Target, deadline: Instant, timeout: Duration) -> Vec<Result<Receipt>> {
        let good = self.entries - self.bad.len();
        let results = match timeout_at(deadline, self.receipts).await {
            Ok(results) => results,
            Err(_) => {
                let error = target.no_receipt(timeout);
                (0..good).map(|_| Err(error.duplicate())).collect()
            }
        };
        let mut results: Vec<_> =
            results.into_iter().map(|result| result.map_err(|error| target.locate(error))).collect();
        results.resize_with(good, || Err(Error::new(Kind::Internal, "the broker gave no receipt")));
        for (place, error) in self.bad {
            results.insert(place, Err(error));
        }
        results
    }
}

fn enqueue<T: Payload>(target: &Target, resolved: &Resolved, values: &[T], key: Option<&Key<'_, T>>) -> Sent {
    let mut messages = Vec::with_capacity(values.len());
    let mut bad = Vec::new();
    let mut buffer = BytesMut::new();
    for (place, value) in values.iter().enumerate() {
        let mut message = Message::default();
        message.key = key.and_then(|key| key(value));
        match resolved.fill(target, value, &mut message, &mut buffer, values.len() - place - 1) {
            Ok(()) => messages.push(message),
            Err(error) => bad.push((place, target.locate(error))),
        }
    }
    let receipts = match target.topic() {
        Ok(topic) => target.settings.broker.publish(topic, messages),
        Err(error) => Receipts::failed(messages.len(), &error),
    };
    Sent { receipts, entries: values.len(), bad }
}

fn fail(target: &Target, entries: usize, error: &Error) -> Vec<Result<Receipt>> {
    (0..entries)
        .map(|_| {
            target.count(false);
            Err(error.duplicate())
        })
        .collect()
}

impl<'a, T: Payload> IntoFuture for PublishAll<'a, T> {
    type Output = Vec<Result<Receipt>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<T> fmt::Debug for PublishAll<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishAll")
            .field("topic", &self.target.topic.as_ref().ok())
            .field("events", &self.values.len())
            .finish_non_exhaustive()
    }
}
