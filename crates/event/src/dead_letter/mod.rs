//! Dead letters: what is kept of messages that could not be handled, and the way back.
//!
//! They lie on `<topic>.dead` with the original bytes, key and headers, and beside them the headers of
//! [`headers`] that begin with `Micro-Dead-`.

mod letter;
mod sweep;

use micro_core::broker::{DeliveryParts, Message, Reason};
use micro_core::{Error, Headers};

pub use letter::DeadLetter;
pub use sweep::{Fate, Sweep, list, requeue};

use crate::headers;

/// The longest error text, in bytes.
const ERROR_LIMIT: usize = 1024;

/// Writes the dead letter of a message.
pub(crate) fn write(parts: &DeliveryParts, identity: &str, reason: Reason, error: &Error) -> Message {
    let now = letter::millis(std::time::SystemTime::now());
    let first = parts.published.map_or(now, letter::millis);
    let original = &parts.message;
    let mut kept = Headers::with_capacity(original.headers.len() + 8);
    // A letter that dies a second time, after a requeue, tells its last story only.
    for (name, value) in original.headers.iter().filter(|(name, _)| !is_dead_header(name)) {
        kept.append(name.clone(), value.clone());
    }
    if kept.get(headers::ID).is_none() && !parts.id.is_empty() {
        kept.append(headers::ID, parts.id.clone());
    }
    kept.append(headers::DEAD_TOPIC, parts.origin.topic.as_str().to_owned());
    kept.append(headers::DEAD_QUEUE, identity.to_owned());
    kept.append(headers::DEAD_REASON, reason.to_string());
    kept.append(headers::DEAD_ERROR, one_line(&error.to_string()));
    kept.append(headers::DEAD_ATTEMPTS, parts.attempts.to_string());
    kept.append(headers::DEAD_FIRST_TIME, first.to_string());
    kept.append(headers::DEAD_LAST_TIME, now.to_string());
    let mut message = Message::new(original.body.clone());
    message.headers = kept;
    message.key.clone_from(&original.key);
    message
}

/// Tells whether a header belongs to the letter and not to the message.
fn is_dead_header(name: &[u8]) -> bool {
    let prefix = headers::DEAD_PREFIX.as_bytes();
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        || name.eq_ignore_ascii_case(headers::FOR_QUEUE.as_bytes())
}

/// Makes a text fit for a header: no line breaks, not too long.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(ERROR_LIMIT));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_is_one_line_of_at_most_1_kib() {
        assert_eq!(one_line("a\r\nb"), "a  b");
        let long = one_line(&"ä".repeat(2000));
        assert_eq!(long.len(), 1024);
    }
}
