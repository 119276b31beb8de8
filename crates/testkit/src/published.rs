//! What was published.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use micro::broker::Message;
use micro::codec::{Format, Payload};
use micro::event::headers::CONTENT_TYPE;
use micro::{Error, Kind, Result};

use crate::TestKit;
use crate::journal::State;
use crate::telling::{self, keyed};
use crate::wait::{Look, until};

/// Asks what was published on a topic, by services and by the test; see [`TestKit::published`].
#[must_use = "nothing is asserted before one of its methods is awaited"]
pub struct Published<'a, T> {
    kit: &'a TestKit,
    topic: String,
    key: Option<Bytes>,
    by: Option<String>,
    limit: Duration,
    value: PhantomData<fn() -> T>,
}

impl<'a, T: Payload> Published<'a, T> {
    pub(crate) fn new(kit: &'a TestKit, topic: &str, limit: Duration) -> Self {
        Self { kit, topic: topic.to_owned(), key: None, by: None, limit, value: PhantomData }
    }

    /// Narrows it to messages of one key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Narrows it to what one service published.
    pub fn by(mut self, service: impl Into<String>) -> Self {
        self.by = Some(service.into());
        self
    }

    /// Sets how long to wait at most, in real time.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Waits until so many were published, and returns them in their order.
    ///
    /// It returns as soon as they are there. Where one more would be a fault, wait for [`TestKit::idle`] first.
    ///
    /// # Errors
    ///
    /// There were fewer within the limit, or more; the error says what was published instead. One of them is no `T`.
    pub async fn expect(self, count: usize) -> Result<Vec<T>> {
        let messages = self.messages(count).await?;
        messages.into_iter().map(|message| self.read(message)).collect()
    }

    /// Waits as [`expect`](Self::expect) does, and returns the messages with their headers and keys, undecoded.
    ///
    /// # Errors
    ///
    /// As `expect`.
    pub async fn expect_messages(self, count: usize) -> Result<Vec<Message>> {
        self.messages(count).await
    }

    /// Waits until nothing is left to do ([`TestKit::idle`]), and makes sure that nothing was published here.
    ///
    /// # Errors
    ///
    /// Something was; or there was no end of work within the limit.
    pub async fn none(self) -> Result<()> {
        self.kit.idle_within(self.limit).await?;
        let state = self.kit.journal().lock();
        match self.fitting(&state).len() {
            0 => Ok(()),
            found => Err(Error::new(Kind::FailedPrecondition, self.told(0, found, &state))),
        }
    }

    async fn messages(&self, count: usize) -> Result<Vec<Message>> {
        let look = |state: &State| {
            let found = self.fitting(state);
            match found.len() {
                there if there < count => Look::NotYet,
                there if there > count => Look::Wrong(self.told(count, there, state)),
                _ => Look::Found(found.into_iter().cloned().collect()),
            }
        };
        let late = |state: &State| {
            format!(
                "{}\n(waited {:?}; {}){}",
                self.told(count, self.fitting(state).len(), state),
                self.limit,
                telling::deliveries(state),
                telling::refusals(state)
            )
        };
        until(self.kit.journal(), self.limit, look, late).await
    }

    fn fitting<'s>(&self, state: &'s State) -> Vec<&'s Message> {
        let fits = |one: &&crate::journal::Publication| {
            one.topic.as_str() == self.topic
                && self.key.as_ref().is_none_or(|key| one.message.key.as_ref() == Some(key))
                && self.by.as_ref().is_none_or(|by| one.by == *by)
        };
        state.published.iter().filter(fits).map(|one| &one.message).collect()
    }

    fn told(&self, wanted: usize, found: usize, state: &State) -> String {
        format!("expected {wanted} published on {self}, found {found}; {}", telling::publications(state))
    }

    fn read(&self, message: Message) -> Result<T> {
        let content_type = message.headers.get_str(CONTENT_TYPE).unwrap_or_default();
        let format = Format::of_content_type(content_type).ok_or_else(|| {
            let text = format!("a message on {self} has the Content-Type {content_type:?}, which no codec reads");
            Error::new(Kind::UnsupportedContentType, text)
        })?;
        T::decode(format, message.body).map_err(|error| {
            let text = format!("a message on {self} is no {}", std::any::type_name::<T>());
            Error::new(Kind::Decode, text).source(error)
        })
    }
}

impl<T> fmt::Display for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.topic, keyed(self.key.as_deref()))?;
        match &self.by {
            Some(by) => write!(f, " by {by}"),
            None => Ok(()),
        }
    }
}

impl<T> fmt::Debug for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").field("topic", &self.topic).field("key", &self.key).finish_non_exhaustive()
    }
}
