use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::Capability;
use crate::{Error, Headers, Kind, Result};

/// Headers, a key and a body, as they are published.
///
/// # Examples
///
/// ```
/// use micro_core::broker::Message;
///
/// let message = Message::new("goods for order 7").header("Content-Type", "text/plain").key("order-7");
/// assert_eq!(message.headers.get_str("content-type"), Some("text/plain"));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Message {
    /// Names and values; see [`Headers`].
    pub headers: Headers,
    /// Messages of one key keep their order, where the broker declares `keys`.
    pub key: Option<Bytes>,
    /// The content.
    pub body: Bytes,
    options: Option<Box<MessageOptions>>,
}

/// What only some brokers can do with one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageOptions {
    /// The partition it must lie in.
    pub partition: Option<u32>,
    /// How long it stays unseen.
    pub delay: Option<Duration>,
    /// How long it is worth delivering.
    pub ttl: Option<Duration>,
    /// The id by which the server finds duplicates.
    pub deduplication_id: Option<String>,
}

impl Message {
    /// Creates a message of a body.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { headers: Headers::new(), key: None, body: body.into(), options: None }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the partition it must lie in; needs [`Capability::partition`].
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.options_mut().partition = Some(partition);
        self
    }

    /// Sets how long it stays unseen; needs [`Capability::delay`].
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options_mut().delay = Some(delay);
        self
    }

    /// Sets how long it is worth delivering; needs [`Capability::ttl`].
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options_mut().ttl = Some(ttl);
        self
    }

    /// Sets the id by which the server finds duplicates; needs [`Capability::deduplication`].
    #[must_use]
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.options_mut().deduplication_id = Some(id.into());
        self
    }

    /// Returns what only some brokers can do, if anything was asked.
    #[must_use]
    pub fn options(&self) -> Option<&MessageOptions> {
        self.options.as_deref()
    }

    fn options_mut(&mut self) -> &mut MessageOptions {
        self.options.get_or_insert_default()
    }

    /// Refuses what a broker cannot carry; a plugin calls it first in `publish`.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`] for a bad header, [`Kind::TooLarge`] over the body limit, [`Kind::Unsupported`] for an
    /// option that is not declared.
    pub fn check(&self, plugin: &'static str, capability: &Capability) -> Result<()> {
        self.headers.check()?;
        if let Some(max) = capability.max_body
            && self.body.len() > max
        {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the message of {} bytes is over the {max} bytes that {plugin} takes; send a reference instead",
                    self.body.len()
                ),
            ));
        }
        let Some(options) = &self.options else { return Ok(()) };
        for (asked, declared, what) in [
            (options.partition.is_some(), capability.partition, "a message that names its partition"),
            (options.delay.is_some(), capability.delay, "a delayed message"),
            (options.ttl.is_some(), capability.ttl, "a message that expires"),
            (options.deduplication_id.is_some(), capability.deduplication, "a de-duplication id"),
        ] {
            if asked && !declared {
                return Err(Error::unsupported(plugin, what));
            }
        }
        Ok(())
    }
}

/// Shows the length of the body, not its content.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("headers", &self.headers)
            .field("key", &self.key)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}
