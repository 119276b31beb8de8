use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::broker::Message;
use micro_core::{Error, Headers, Kind, Result};
use rdkafka::message::{Header, OwnedHeaders};

use crate::config::Dialect;
use crate::envelope;
use crate::native::Received;

/// As much is copied into one piece of memory; what is larger has one of its own. A delivery that is kept keeps its piece.
const CHUNK: usize = 32 << 10;

/// So many pieces are kept to be filled again: about as many as messages are in flight.
const PIECES: usize = 16;

/// The name of the header that has the id.
pub(crate) const ID: &str = "Micro-Id";

/// Where received messages are copied to: one allocation for many.
///
/// What is copied between two [`take`](Self::take)s, and shares a piece, shares a reference count. Nothing else does, so
/// that handlers on another thread have that count for themselves.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    piece: Vec<u8>,
    open: Vec<Copied>,
    records: Vec<(i64, Record)>,
    /// The last pieces, the oldest first: filled again if nobody has them any more.
    pieces: VecDeque<Bytes>,
    /// How many were handed out the last time: there will be about as many.
    pub(crate) last_pull: usize,
}

/// What lies in the piece that is being filled.
#[derive(Debug)]
struct Copied {
    offset: i64,
    end: usize,
    parts: Parts,
}

/// Where what lies in a record.
#[derive(Debug, Clone)]
struct Parts {
    /// The value of `Micro-Id`.
    id: Option<Range<u32>>,
    /// How long the packed headers are, the key behind them, and the body behind that.
    headers: u32,
    key: Option<u32>,
    body: u32,
    /// Milliseconds since 1970; -1 if the record has no time.
    time: i64,
}

/// A received message, copied once into shared memory; a [`Message`] is cut from it without copying.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    bytes: Bytes,
    parts: Parts,
}

impl Arena {
    /// Copies a message of the library.
    pub(crate) fn copy(&mut self, message: &Received) {
        if self.piece.len() >= CHUNK {
            self.seal();
        }
        let begin = self.piece.len();
        let mut id = None;
        for (name, value) in message.headers() {
            Headers::pack(&mut self.piece, name, value);
            if id.is_none() && name.eq_ignore_ascii_case(ID.as_bytes()) {
                let end = length(&self.piece[begin..]);
                id = Some(end - length(value)..end);
            }
        }
        let headers = length(&self.piece[begin..]);
        let (key, body) = (message.key(), message.payload().unwrap_or_default());
        self.piece.extend_from_slice(key.unwrap_or_default());
        self.piece.extend_from_slice(body);
        let parts = Parts { id, headers, key: key.map(length), body: length(body), time: message.time() };
        self.open.push(Copied { offset: message.offset(), end: self.piece.len(), parts });
    }

    fn seal(&mut self) {
        let size = self.piece.len();
        let bytes = Bytes::from(std::mem::take(&mut self.piece));
        if size <= CHUNK {
            self.pieces.push_back(bytes.clone());
        }
        let oldest = if self.pieces.len() > PIECES { self.pieces.pop_front() } else { None };
        self.piece = match oldest.map(Bytes::try_into_mut) {
            Some(Ok(mut free)) => {
                free.clear();
                free.into()
            }
            // The next one is about as large.
            _ => Vec::with_capacity(size.min(CHUNK)),
        };
        let mut begin = 0;
        self.records.extend(self.open.drain(..).map(|Copied { offset, end, parts }| {
            let bytes = bytes.slice(std::mem::replace(&mut begin, end)..end);
            (offset, Record { bytes, parts })
        }));
    }

    /// Returns what was copied since the last time, with the offsets. The list is to be [given back](Self::give_back).
    pub(crate) fn take(&mut self) -> Vec<(i64, Record)> {
        if !self.open.is_empty() {
            self.seal();
        }
        std::mem::take(&mut self.records)
    }

    /// Takes an emptied list for the next time.
    pub(crate) fn give_back(&mut self, list: Vec<(i64, Record)>) {
        debug_assert!(list.is_empty(), "what was copied is used up");
        self.records = list;
    }
}

/// Kafka's own lengths have 31 bits.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Record {
    /// Cuts the message out; what it holds shares the received memory.
    pub(crate) fn message(&self, dialect: Dialect) -> Message {
        let (headers, body) = (self.parts.headers as usize, self.bytes.len() - self.parts.body as usize);
        let opened = match dialect {
            Dialect::Native { open_envelopes } if !open_envelopes || headers > 0 => None,
            Dialect::Native { .. } | Dialect::GoMicro => envelope::read(&self.bytes[body..]),
        };
        let (headers, content) =
            opened.unwrap_or_else(|| (Headers::packed(self.bytes.slice(..headers)), self.bytes.slice(body..)));
        let mut message = Message::new(content);
        message.headers = headers;
        message.key = self.parts.key.map(|length| self.bytes.slice(body - length as usize..body));
        message
    }

    /// Returns the id among the headers of the record itself.
    pub(crate) fn id(&self) -> Option<Bytes> {
        self.parts.id.as_ref().map(|id| self.bytes.slice(id.start as usize..id.end as usize))
    }

    /// How many bytes it keeps.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(crate) fn of(length: usize) -> Self {
        let parts = Parts { id: None, headers: 0, key: None, body: length as u32, time: -1 };
        Self { bytes: vec![0; length].into(), parts }
    }

    /// When it was published.
    pub(crate) fn published(&self) -> Option<SystemTime> {
        u64::try_from(self.parts.time).ok().map(|time| UNIX_EPOCH + Duration::from_millis(time))
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
