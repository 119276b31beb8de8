//! The bytes of a message in the database.
//!
//! ```text
//! flags       1 byte: 1 = has a key, 2 = has times
//! key         length, bytes
//! times       when it appears, when it expires: milliseconds of 1970, 0 = not asked for
//! headers     count, then length and bytes of each name and value
//! body        the rest
//! ```
//!
//! Lengths, counts and times are LEB128.

use bytes::Bytes;
use micro_core::Headers;
use micro_core::broker::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const KEY: u8 = 1;
const TIMES: u8 = 2;

/// A message out of the database; its parts share one buffer.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) message: Message,
    /// When it appears, in milliseconds of 1970; 0 = at once.
    pub(crate) visible: u64,
    /// When it is worth nothing any more; 0 = never.
    pub(crate) expires: u64,
}

/// Returns the milliseconds since 1970.
pub(crate) fn wall_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// What is further away than time goes is never.
fn later(time: u64, pause: Duration) -> u64 {
    time.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

/// Writes a message behind what the buffer holds.
pub(crate) fn encode(message: &Message, buffer: &mut Vec<u8>) {
    let times = message.options().filter(|options| options.delay.is_some() || options.ttl.is_some());
    buffer.push(if message.key.is_some() { KEY } else { 0 } | if times.is_some() { TIMES } else { 0 });
    if let Some(key) = &message.key {
        put_bytes(buffer, key);
    }
    if let Some(times) = times {
        let now = wall_now();
        let delay = times.delay.map_or(0, |delay| later(now, delay));
        put(buffer, delay);
        put(buffer, times.ttl.map_or(0, |ttl| later(delay.max(now), ttl)));
    }
    put(buffer, message.headers.len() as u64);
    for (name, value) in message.headers.iter() {
        put_bytes(buffer, name);
        put_bytes(buffer, value);
    }
    buffer.extend_from_slice(&message.body);
}

/// Reads a message; `None` if the bytes are none that [`encode`] wrote.
pub(crate) fn decode(bytes: &Bytes) -> Option<Record> {
    let mut at = 0;
    let flags = *bytes.get(at)?;
    at += 1;
    let key = if flags & KEY == 0 { None } else { Some(take_bytes(bytes, &mut at)?) };
    let (visible, expires) = match flags & TIMES {
        0 => (0, 0),
        _ => (take(bytes, &mut at)?, take(bytes, &mut at)?),
    };
    let count = take(bytes, &mut at)? as usize;
    let mut headers = Headers::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        headers.append(take_bytes(bytes, &mut at)?, take_bytes(bytes, &mut at)?);
    }
    let mut message = Message::new(bytes.slice(at..));
    message.headers = headers;
    message.key = key;
    Some(Record { message, visible, expires })
}

/// Appends a number as LEB128.
pub(crate) fn put(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

/// Reads a LEB128 number and moves on.
pub(crate) fn take(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

fn take_bytes(bytes: &Bytes, at: &mut usize) -> Option<Bytes> {
    let length = take(bytes, at)? as usize;
    let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
    let slice = bytes.slice(*at..end);
    *at = end;
    Some(slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(message: &Message) -> Record {
        let mut buffer = Vec::new();
        encode(message, &mut buffer);
        decode(&Bytes::from(buffer)).unwrap()
    }

    #[test]
    fn headers_key_and_body_come_back_as_they_were() {
        let message = Message::new(vec![0u8, 255, 10]).header("Foo", "1").header("foo", "").key(vec![0xffu8; 200]);
        let back = through(&message);
        assert_eq!((&back.message.headers, &back.message.key), (&message.headers, &message.key));
        assert_eq!((back.message.body, back.visible, back.expires), (message.body, 0, 0));
        assert_eq!(through(&Message::new("")).message.key, None);
        assert_eq!(through(&Message::new("").key("")).message.key, Some(Bytes::new()));
    }

    #[test]
    fn a_pause_and_an_end_are_kept_as_times() {
        let now = wall_now();
        let back = through(&Message::new("x").delay(Duration::from_secs(5)).ttl(Duration::from_secs(7)));
        assert!((5000..6000).contains(&(back.visible - now)) && (12_000..13_000).contains(&(back.expires - now)));
    }

    #[test]
    fn a_pause_without_end_is_kept_as_never() {
        let back = through(&Message::new("x").delay(Duration::MAX).ttl(Duration::MAX));
        assert_eq!((back.visible, back.expires), (u64::MAX, u64::MAX));
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let mut buffer = Vec::new();
        encode(&Message::new("body").header("name", "value").key("key"), &mut buffer);
        for cut in 0..buffer.len() - "body".len() {
            assert!(decode(&Bytes::copy_from_slice(&buffer[..cut])).is_none(), "{cut}");
        }
        assert!(decode(&Bytes::from_static(&[0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])).is_none());
    }
}
