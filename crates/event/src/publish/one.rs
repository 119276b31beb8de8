use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use micro_core::broker::{Message, Receipt, Receipts};
use micro_core::codec::{Format, Payload};
use micro_core::{Context, Result};

use super::{Options, Publishing, Target};

/// One event on its way: await it for the [`Receipt`].
#[must_use = "nothing is published before this is awaited"]
pub struct Publish<'a, T> {
    target: &'a Target,
    value: &'a T,
    message: Message,
    options: Options,
}

impl<'a, T: Payload> Publish<'a, T> {
    pub(super) fn new(target: &'a Target, value: &'a T) -> Self {
        Self { target, value, message: Message::default(), options: Options::default() }
    }

    /// Sets the key: events of one key keep their order, where the broker declares `keys`, and are handled one at a time
    /// by one member.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.message.key = Some(key.into());
        self
    }

    /// Adds a header. A line break in it is refused when the event is published; `Micro-Id` takes the place of the made
    /// id.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<Bytes>) -> Self {
        self.options.header(name.as_ref(), value);
        self
    }

    /// Sets how long to wait for the receipt, instead of 30 s. The current context's deadline shortens it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets the format, instead of the type's own first.
    pub fn content_type(mut self, format: Format) -> Self {
        self.options.format = Some(format);
        self
    }

    /// Sets the partition it must lie in; refused where the broker has none.
    pub fn partition(mut self, partition: u32) -> Self {
        self.message = self.message.partition(partition);
        self
    }

    /// Sets how long it stays unseen; refused where the broker cannot.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.message = self.message.delay(delay);
        self
    }

    /// Sets how long it is worth delivering; refused where the broker cannot.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.message = self.message.ttl(ttl);
        self
    }

    /// Sets the id by which the server finds duplicates; refused where it does not.
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.message = self.message.deduplication_id(id);
        self
    }

    /// Sets the context whose metadata and deadline it inherits, instead of the current one.
    pub fn context(mut self, context: &Context) -> Self {
        self.options.context = Some(context.clone());
        self
    }

    /// Waits for room in the queue to the server only, and returns the receipt to come.
    ///
    /// For a publisher with many events on their way: keep the receipts and await them later.
    ///
    /// # Errors
    ///
    /// As for awaiting the publish itself, but for what the server says: that is in the receipt.
    pub async fn enqueue(self) -> Result<Receipts> {
        self.publishing().enqueue().await
    }

    fn publishing(mut self) -> Publishing<'a> {
        let message = self.options.resolve::<T>(self.target).and_then(|resolved| {
            resolved.fill(self.target, self.value, &mut self.message, &mut BytesMut::new(), 0)?;
            Ok((self.message, resolved.timeout))
        });
        Publishing::new(self.target, message)
    }
}

impl<'a, T: Payload> IntoFuture for Publish<'a, T> {
    type Output = Result<Receipt>;
    type IntoFuture = Publishing<'a>;

    fn into_future(self) -> Publishing<'a> {
        self.publishing()
    }
}

impl<T> fmt::Debug for Publish<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("topic", &self.target.topic.as_ref().ok()).finish_non_exhaustive()
    }
}
