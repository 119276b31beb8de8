//! Publishing from a test.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro::broker::Receipt;
use micro::codec::{Format, Payload};
use micro::{Event, Result};

/// An event on its way from the test: await it for the receipt. See [`TestKit::publish`](crate::TestKit::publish).
#[must_use = "nothing is published before this is awaited"]
pub struct KitPublish<'a, T> {
    event: Event<T>,
    value: &'a T,
    key: Option<Bytes>,
    headers: Vec<(String, Bytes)>,
    delay: Option<Duration>,
    format: Option<Format>,
}

impl<'a, T: Payload> KitPublish<'a, T> {
    pub(crate) fn new(event: Event<T>, value: &'a T) -> Self {
        Self { event, value, key: None, headers: Vec::new(), delay: None, format: None }
    }

    /// Sets the key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header; `Micro-Id` takes the place of the made id.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long it stays unseen.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets the format, instead of the type's own first.
    pub fn content_type(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    async fn run(self) -> Result<Receipt> {
        let mut publish = self.event.publish(self.value);
        if let Some(key) = self.key {
            publish = publish.key(key);
        }
        for (name, value) in self.headers {
            publish = publish.header(name, value);
        }
        if let Some(delay) = self.delay {
            publish = publish.delay(delay);
        }
        if let Some(format) = self.format {
            publish = publish.content_type(format);
        }
        publish.await
    }
}

impl<'a, T: Payload> IntoFuture for KitPublish<'a, T> {
    type Output = Result<Receipt>;
    type IntoFuture = BoxFuture<'a, Result<Receipt>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<T> fmt::Debug for KitPublish<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitPublish").field("event", &self.event).finish_non_exhaustive()
    }
}
