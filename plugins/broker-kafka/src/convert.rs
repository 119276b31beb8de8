use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use micro_core::broker::Message;
use micro_core::{Error, Headers, Kind, Result};
use rdkafka::message::{BorrowedMessage, Header, Message as _, OwnedHeaders};

use crate::config::Dialect;
use crate::{envelope, native};

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
    pub(crate) fn copy(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let key = message.key();
        let body = message.payload().unwrap_or_default();
        let headers = || native::headers(message);
        let sizes: usize = headers().map(|(name, value)| 8 + name.len() + value.len()).sum();
        let size = sizes + key.map_or(0, <[u8]>::len) + body.len();
        if self.0.capacity() < size {
            self.0 = BytesMut::with_capacity(CHUNK.max(size));
        }
        let mut count = 0;
        for (name, value) in headers() {
            count += 1;
            self.0.put_u32_ne(length(name));
            self.0.put_u32_ne(length(value));
            self.0.put_slice(name);
            self.0.put_slice(value);
        }
        self.0.put_slice(key.unwrap_or_default());
        self.0.put_slice(body);
        Record {
            bytes: self.0.split().freeze(),
            headers: count,
            key: key.map(length),
            body: length(body),
            time: message.timestamp().to_millis().unwrap_or(-1),
        }
    }
}

/// Kafka's own lengths have 31 bits.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Record {
    /// Cuts the message out; what it holds shares the received memory.
    pub(crate) fn message(&self, dialect: Dialect) -> Message {
        let mut rest = self.bytes.clone();
        let body = rest.split_off(rest.len() - self.body as usize);
        let key = self.key.map(|length| rest.split_off(rest.len() - length as usize));
        let opened = match dialect {
            Dialect::Native { open_envelopes } if !open_envelopes || self.headers > 0 => None,
            Dialect::Native { .. } | Dialect::GoMicro => envelope::read(&body),
        };
        let (headers, body) = match opened {
            Some(opened) => opened,
            None => (self.cut_headers(rest), body),
        };
        let mut message = Message::new(body);
        message.headers = headers;
        message.key = key;
        message
    }

    fn cut_headers(&self, mut bytes: Bytes) -> Headers {
        let mut headers = Headers::with_capacity(self.headers as usize);
        for _ in 0..self.headers {
            let number =
                |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            let (name, value) = (number(0), number(4));
            let name_bytes = &bytes[8..8 + name];
            let shared = STATIC_NAMES.iter().find(|known| known.as_bytes() == name_bytes);
            let name_bytes =
                shared.map_or_else(|| bytes.slice(8..8 + name), |known| Bytes::from_static(known.as_bytes()));
            headers.append(name_bytes, bytes.slice(8 + name..8 + name + value));
            bytes = bytes.split_off(8 + name + value);
        }
        headers
    }

    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self { bytes: Bytes::new(), headers: 0, key: None, body: 0, time: -1 }
    }

    /// When it was published.
    pub(crate) fn published(&self) -> Option<SystemTime> {
        u64::try_from(self.time).ok().map(|time| UNIX_EPOCH + Duration::from_millis(time))
    }
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
