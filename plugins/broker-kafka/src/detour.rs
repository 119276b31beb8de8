//! The way round for long pauses: `<topic>.<queue>.retry`.
//!
//! A partition's watermark cannot pass a message that waits. So one that waits long is published anew on a topic of its
//! own, with what must not be forgotten in one header, and the original is settled.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::broker::{Message, Position};

/// The header: when it is due (Unix milliseconds), failures so far, partition and offset of the original, when that was
/// published (Unix milliseconds, -1 if unknown). Apart by spaces.
const HEADER: &str = "Micro-Retry";

/// What must not be forgotten of a message on its way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detour {
    pub(crate) due: SystemTime,
    pub(crate) attempts: u32,
    pub(crate) origin: Position,
    pub(crate) published: Option<SystemTime>,
}

impl Detour {
    /// Writes it into a message.
    pub(crate) fn write(&self, mut message: Message) -> Message {
        let (partition, offset) = match self.origin {
            Position::Offset { partition, offset } => (partition, offset),
            Position::Sequence(offset) => (0, offset),
        };
        let published = self.published.map_or(-1, |time| i128::from(millis(time)));
        let text = format!("{} {} {partition} {offset} {published}", millis(self.due), self.attempts);
        message.headers.append(HEADER, text);
        message
    }

    /// Takes it out of a message; `None` if it is not there, or damaged.
    pub(crate) fn read(message: &mut Message) -> Option<Self> {
        let header: Bytes = message.headers.remove(HEADER)?;
        let mut words = std::str::from_utf8(&header).ok()?.split(' ');
        let due = at(words.next()?.parse().ok()?);
        let attempts = words.next()?.parse().ok()?;
        let (partition, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let published: i64 = words.next()?.parse().ok()?;
        let origin = Position::Offset { partition, offset };
        Some(Self { due, attempts, origin, published: u64::try_from(published).ok().map(at) })
    }

    /// How long it must still wait.
    pub(crate) fn pause(&self) -> Duration {
        self.due.duration_since(SystemTime::now()).unwrap_or_default()
    }
}

fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_the_way_and_leaves_no_trace() {
        let detour = Detour {
            due: at(1_800_000_000_000),
            attempts: 3,
            origin: Position::Offset { partition: 2, offset: 77 },
            published: Some(at(1_700_000_000_001)),
        };
        let mut message = detour.write(Message::new("x").header("A", "1"));
        assert_eq!(Detour::read(&mut message), Some(detour));
        assert_eq!(message.headers.len(), 1);
        assert_eq!(Detour::read(&mut message), None);
    }

    #[test]
    fn damage_is_no_detour() {
        for text in ["", "x", "1 2 3 4", "-5 1 1 1 1"] {
            let mut message = Message::new("").header(HEADER, text);
            assert_eq!(Detour::read(&mut message), None, "{text}");
        }
    }
}
