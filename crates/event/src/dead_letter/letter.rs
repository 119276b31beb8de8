use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::Headers;
use micro_core::broker::Message;

use super::is_dead_header;
use crate::headers;

/// A message that could not be handled, with the story of why.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The id of the message: `Micro-Id`.
    pub id: Bytes,
    /// The topic it came from.
    pub topic: String,
    /// The queue, or the subscriber's name, that gave it up.
    pub queue: String,
    /// `decode`, `failed`, `rejected` or `crash`.
    pub reason: String,
    /// The text of the last error.
    pub error: String,
    /// How often handlers failed with it.
    pub attempts: u32,
    /// When it was published, or first seen.
    pub first: Option<SystemTime>,
    /// When it was given up.
    pub last: Option<SystemTime>,
    /// The message as it was: its own headers, key and body.
    pub message: Message,
}

impl DeadLetter {
    pub(super) fn read(id: &Bytes, message: &Message) -> Self {
        let text = |name: &str| message.headers.get_str(name).unwrap_or_default();
        let time = |name: &str| UNIX_EPOCH.checked_add(Duration::from_millis(text(name).parse().ok()?));
        let mut original = message.clone();
        original.headers.retain(|name, _| !is_dead_header(name));
        Self {
            id: message.headers.get_bytes(headers::ID).unwrap_or(id).clone(),
            topic: text(headers::DEAD_TOPIC).to_owned(),
            queue: text(headers::DEAD_QUEUE).to_owned(),
            reason: text(headers::DEAD_REASON).to_owned(),
            error: text(headers::DEAD_ERROR).to_owned(),
            attempts: text(headers::DEAD_ATTEMPTS).parse().unwrap_or(0),
            first: time(headers::DEAD_FIRST_TIME),
            last: time(headers::DEAD_LAST_TIME),
            message: original,
        }
    }

    /// Returns the message for its queue only.
    pub(super) fn revived(&self) -> Message {
        let mut message = Message::new(self.message.body.clone());
        message.key.clone_from(&self.message.key);
        message.headers = Headers::with_capacity(self.message.headers.len() + 1);
        message.headers.extend(self.message.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !self.queue.is_empty() {
            message.headers.append(headers::FOR_QUEUE, self.queue.clone());
        }
        message
    }
}

pub(super) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Shows the length of the body, not its content.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("queue", &self.queue)
            .field("reason", &self.reason)
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
