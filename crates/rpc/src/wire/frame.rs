//! A message on the wire: one flag byte (0: not compressed), four of length, the body.

use bytes::{BufMut, Bytes, BytesMut};
use micro_core::codec::{Format, Payload};
use micro_core::middleware::Body;
use micro_core::{Error, Kind, Result};

/// How many bytes stand before a body.
pub(crate) const PREFIX: usize = 5;

/// Writes one message into a buffer of its size.
pub(crate) fn encode<T: Payload>(value: &T, format: Format, limit: usize) -> Result<Bytes> {
    let mut buffer = BytesMut::with_capacity(PREFIX + value.size_hint(format));
    append(value, format, limit, &mut buffer)?;
    Ok(buffer.freeze())
}

/// Returns the frame of a message that passed through middleware: the one it came in, or one made anew.
pub(crate) fn of_body(body: Body, limit: usize) -> Result<Bytes> {
    match body.into_parts() {
        (frame, PREFIX) => Ok(frame),
        (bytes, prefix) => encode(&bytes.slice(prefix..), Format::Bytes, limit),
    }
}

/// Writes one message behind what is in the buffer; after an error, or a panic in the encoder, the buffer is as it was.
pub(crate) fn append<T: Payload>(value: &T, format: Format, limit: usize, buffer: &mut BytesMut) -> Result<()> {
    let mut draft = Draft { start: buffer.len(), buffer, keep: false };
    draft.buffer.put_bytes(0, PREFIX);
    value.encode(format, draft.buffer)?;
    let body = draft.start + PREFIX;
    let length = draft.buffer.len() - body;
    if length > limit {
        return Err(too_large("sent", length, limit));
    }
    draft.buffer[draft.start + 1..body].copy_from_slice(&(length as u32).to_be_bytes());
    draft.keep = true;
    Ok(())
}

/// A message being written.
struct Draft<'a> {
    buffer: &'a mut BytesMut,
    start: usize,
    keep: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.buffer.truncate(self.start);
        }
    }
}

/// Reads a prefix: the length of the body.
pub(crate) fn length(prefix: [u8; PREFIX], limit: usize) -> Result<usize> {
    let [compressed, a, b, c, d] = prefix;
    if compressed != 0 {
        let text = "the message is compressed, which is not supported; send it uncompressed (grpc-encoding: identity)";
        return Err(Error::new(Kind::Unsupported, text));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > limit { Err(too_large("received", length, limit)) } else { Ok(length) }
}

fn too_large(what: &str, length: usize, limit: usize) -> Error {
    let text = format!(
        "a message of {length} bytes cannot be {what}: the limit is {limit} bytes; send it in parts by a stream, \
         or raise max_message_size on both sides"
    );
    Error::new(Kind::TooLarge, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_by_flag_and_length() {
        let frame = encode(&Bytes::from_static(b"abc"), Format::Bytes, 10).unwrap();
        assert_eq!(frame, &[0, 0, 0, 0, 3, b'a', b'b', b'c'][..]);
        assert_eq!(length([0, 0, 0, 0, 3], 10).unwrap(), 3);
    }

    #[test]
    fn a_message_over_the_limit_leaves_the_buffer_alone() {
        let mut buffer = BytesMut::from(&b"before"[..]);
        let error = append(&Bytes::from_static(b"abc"), Format::Bytes, 2, &mut buffer).unwrap_err();
        assert_eq!((error.kind(), &buffer[..]), (Kind::TooLarge, &b"before"[..]));
    }
}
