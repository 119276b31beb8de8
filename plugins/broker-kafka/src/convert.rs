use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use micro_core::broker::Message;
use micro_core::{Error, Headers, Kind, Result};
use rdkafka::message::{Header, OwnedHeaders};

use crate::config::Dialect;
use crate::envelope;
use crate::native::Received;

/// As much is copied into one piece of memory; what is larger has one of its own. A delivery that is kept keeps its piece.
const CHUNK: usize = 64 << 10;

/// Names that most messages carry: shared instead of copied.
const STATIC_NAMES: [&str; 7] =
    ["Content-Type", "Micro-Id", "Micro-Topic", "traceparent", "tracestate", "Micro-From-Service", "Micro-For-Queue"];

/// Where received messages are copied to: one allocation for many.
#[derive(Debug, Default)]
pub(crate) struct Arena(BytesMut);

/// A received message, copied once into shared memory; a [`Message`] is cut from it without copying.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The headers (name length, value length, name, value), then key, then body.
    bytes: Bytes,
    headers: u32,
    key: Option<u32>,
    body: u32,
    /// Milliseconds since 1970; -1 if the record has no time.
    time: i64,
}

impl Arena {
    /// Copies a message of the library.
    pub(crate) fn copy(&mut self, message: &Received) -> Record {
        let key = message.key();
        let body = message.payload().unwrap_or_default();
        let rest = key.map_or(0, <[u8]>::len) + body.len();
        let (mut count, mut sizes) = (0, 0);
        for (name, value) in message.headers() {
            count += 1;
            sizes += 8 + name.len() + value.len();
        }
        if self.0.capacity() < sizes + rest {
            self.0 = BytesMut::with_capacity(CHUNK.max(sizes + rest));
        }
        if count > 0 {
            for (name, value) in message.headers() {
                self.0.put_u32_ne(length(name));
                self.0.put_u32_ne(length(value));
                self.0.put_slice(name);
                self.0.put_slice(value);
            }
        }
        self.0.put_slice(key.unwrap_or_default());
        self.0.put_slice(body);
        Record {
            bytes: self.0.split().freeze(),
            headers: count,
            key: key.map(length),
            body: length(body),
            time: message.time(),
        }
    }
}

/// Kafka's own lengths have 31 bits.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Record {
    /// Cuts the message out; what it holds shares the received memory.
    pub(crate) fn message(self, dialect: Dialect) -> Message {
        let mut rest = self.bytes;
        let body = rest.split_off(rest.len() - self.body as usize);
        let key = self.key.map(|length| rest.split_off(rest.len() - length as usize));
        let opened = match dialect {
            Dialect::Native { open_envelopes } if !open_envelopes || self.headers > 0 => None,
            Dialect::Native { .. } | Dialect::GoMicro => envelope::read(&body),
        };
        let (headers, body) = match opened {
            Some(opened) => opened,
            None => (cut_headers(self.headers, &rest), body),
        };
        let mut message = Message::new(body);
        message.headers = headers;
        message.key = key;
        message
    }

    /// How many bytes it keeps.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(crate) fn of(length: usize) -> Self {
        Self { bytes: vec![0; length].into(), headers: 0, key: None, body: length as u32, time: -1 }
    }

    /// When it was published.
    pub(crate) fn published(&self) -> Option<SystemTime> {
        u64::try_from(self.time).ok().map(|time| UNIX_EPOCH + Duration::from_millis(time))
    }
}

fn cut_headers(count: u32, bytes: &Bytes) -> Headers {
    let mut headers = Headers::with_capacity(count as usize);
    let mut at = 0;
    for _ in 0..count {
        let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let name = at + 8..at + 8 + number(at);
        let value = name.end..name.end + number(at + 4);
        at = value.end;
        let shared = STATIC_NAMES.iter().find(|known| *known.as_bytes() == bytes[name.clone()]);
        let name = shared.map_or_else(|| bytes.slice(name), |known| Bytes::from_static(known.as_bytes()));
        headers.append(name, bytes.slice(value));
    }
    headers
}

/// What a message becomes on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) body: std::borrow::Cow<'a, [u8]>,
    pub(crate) partition: Option<i32>,
}

/// Makes a record of a message.
///
/// # Errors
///
/// What the dialect cannot carry, by name.
pub(crate) fn outgoing(message: &Message, dialect: Dialect) -> Result<Outgoing<'_>> {
    let partition = message.options().and_then(|options| options.partition);
    let partition = partition
        .map(|partition| {
            i32::try_from(partition)
                .map_err(|_| Error::new(Kind::NotFound, format!("there is no partition {partition} in Kafka")))
        })
        .transpose()?;
    if dialect == Dialect::GoMicro {
        return Ok(Outgoing { headers: None, key: None, body: envelope::write(message)?.into(), partition });
    }
    let mut headers = None;
    if !message.headers.is_empty() {
        let mut owned = OwnedHeaders::new_with_capacity(message.headers.len());
        for (name, value) in message.headers.iter() {
            let key = std::str::from_utf8(name).map_err(|_| {
                let shown = String::from_utf8_lossy(name);
                Error::new(
                    Kind::InvalidArgument,
                    format!("the header name {shown:?} is no UTF-8; Kafka takes no other"),
                )
            })?;
            owned = owned.insert(Header { key, value: Some(&value[..]) });
        }
        headers = Some(owned);
    }
    Ok(Outgoing { headers, key: message.key.as_deref(), body: (&message.body[..]).into(), partition })
}
