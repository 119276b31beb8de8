//! The publishing side.

mod all;
mod id;
mod one;
mod sending;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use metrics::Counter;
use micro_core::broker::{Message, Topic};
use micro_core::codec::{Format, Payload, no_such_format};
use micro_core::{Context, Error, Headers, Kind, Result};

pub use all::PublishAll;
pub use one::Publish;
pub use sending::Publishing;

use crate::events::{Events, Settings};
use crate::headers;
use crate::retry::FOREVER;

/// Publishes values of one type on one topic. A cheap clone; made by [`Events::event`].
pub struct Event<T> {
    target: Arc<Target>,
    value: PhantomData<fn(T)>,
}

/// Where events go.
pub(crate) struct Target {
    settings: Arc<Settings>,
    topic: Result<Topic>,
    published: Counter,
    failed: Counter,
}

impl<T: Payload> Event<T> {
    pub(crate) fn new(events: &Events, topic: &str) -> Self {
        let counter = |outcome| metrics::counter!("micro_event_published_total", "topic" => topic.to_owned(), "outcome" => outcome);
        let target = Target {
            settings: Arc::clone(&events.0),
            topic: Topic::new(topic),
            published: counter("ok"),
            failed: counter("error"),
        };
        Self { target: Arc::new(target), value: PhantomData }
    }

    /// Publishes one event: await it for the receipt.
    ///
    /// Nothing happens before the first poll. From then on dropping it cancels nothing.
    pub fn publish<'a>(&'a self, value: &'a T) -> Publish<'a, T> {
        Publish::new(&self.target, value)
    }

    /// Publishes many events, in order: await it for one result each.
    pub fn publish_all<'a>(&'a self, values: &'a [T]) -> PublishAll<'a, T> {
        PublishAll::new(&self.target, values)
    }

    /// Returns the topic.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`] if it is none.
    pub fn topic(&self) -> Result<&Topic> {
        self.target.topic()
    }
}

impl Target {
    fn topic(&self) -> Result<&Topic> {
        self.topic.as_ref().map_err(Error::duplicate)
    }

    fn count(&self, ok: bool) {
        if ok { self.published.increment(1) } else { self.failed.increment(1) }
    }
}

/// How large a buffer becomes that several messages share; the last of them to go frees it.
const SHARED: usize = 16 << 10;

/// What one publish call sets for its event or events.
#[derive(Default)]
struct Options {
    headers: Headers,
    format: Option<Format>,
    timeout: Option<Duration>,
    context: Option<Context>,
}

impl Options {
    fn header(&mut self, name: &str, value: impl Into<bytes::Bytes>) {
        self.headers.append(bytes::Bytes::copy_from_slice(name.as_bytes()), value);
    }

    /// Settles what is the same for every event of the call.
    fn resolve<T: Payload>(self, target: &Target) -> Result<Resolved> {
        target.topic()?;
        self.headers.check()?;
        if self.headers.get(headers::CONTENT_TYPE).is_some() {
            return Err(Error::new(
                Kind::InvalidArgument,
                "an event's Content-Type header follows from its format; choose it by content_type(Format::…)",
            ));
        }
        let settings = &target.settings;
        let wish = settings.format.filter(|format| T::FORMATS.contains(format)).or(T::FORMATS.first().copied());
        let format = self.format.or(wish).unwrap_or(Format::Bytes);
        if !T::FORMATS.contains(&format) {
            return Err(no_such_format::<T>(format));
        }
        let context = self.context.or_else(Context::try_current);
        let mut timeout = self.timeout.unwrap_or(settings.timeout).min(FOREVER);
        let mut headers = self.headers;
        if let Some(context) = &context {
            timeout = context.remaining().map_or(timeout, |left| timeout.min(left));
            settings.propagation.copy(context.metadata(), &mut headers);
        }
        Ok(Resolved { headers, format, timeout })
    }
}

struct Resolved {
    headers: Headers,
    format: Format,
    timeout: Duration,
}

impl Resolved {
    /// Finishes a message that has its key and options already.
    ///
    /// Body and id lie side by side in one buffer, and in a batch those of several messages: a broker that keeps or
    /// shares them counts references to it and allocates nothing. `more` messages are expected behind this one.
    fn fill<T: Payload>(
        &self,
        target: &Target,
        value: &T,
        message: &mut Message,
        buffer: &mut BytesMut,
        more: usize,
    ) -> Result<()> {
        let need = value.size_hint(self.format) + id::LENGTH;
        if buffer.capacity() < need {
            *buffer = BytesMut::with_capacity(need.max((need * (more + 1)).min(SHARED)));
        }
        let encoded = value.encode(self.format, buffer);
        let body = buffer.split();
        encoded?;
        message.body = body.freeze();

        let headers = &mut message.headers;
        *headers = Headers::with_capacity(self.headers.len() + 3);
        headers.append(headers::CONTENT_TYPE, self.format.content_type().as_str());
        if self.headers.get(headers::ID).is_none() {
            id::write(buffer);
            headers.append(headers::ID, buffer.split().freeze());
        }
        if !self.headers.is_empty() {
            headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        if target.settings.topic_header && headers.get(headers::TOPIC).is_none() {
            headers.append(headers::TOPIC, target.topic()?.as_str().to_owned());
        }
        Ok(())
    }
}

impl<T> Clone for Event<T> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target), value: PhantomData }
    }
}

impl<T> fmt::Debug for Event<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("topic", &self.target.topic.as_ref().ok()).finish_non_exhaustive()
    }
}
