//! A message on the wire: one flag byte (0: not compressed), four of length, the body.

use bytes::{BufMut, Bytes, BytesMut};
use micro_core::codec::{Format, Payload};
use micro_core::{Error, Kind, Result};

/// How many bytes stand before a body.
pub(crate) const PREFIX: usize = 5;

/// Writes one message into a buffer of its size.
pub(crate) fn encode<T: Payload>(value: &T, format: Format, limit: usize) -> Result<Bytes> {
    let mut buffer = BytesMut::with_capacity(PREFIX + value.size_hint(format));
    append(value, format, limit, &mut buffer)?;
    Ok(buffer.freeze())
}

/// Writes one message behind what is in the buffer; after an error the buffer is as it was.
pub(crate) fn append<T: Payload>(value: &T, format: Format, limit: usize, buffer: &mut BytesMut) -> Result<()> {
    let start = buffer.len();
    buffer.put_bytes(0, PREFIX);
    let result = value.encode(format, buffer).and_then(|()| {
        let length = buffer.len() - start - PREFIX;
        if length > limit { Err(too_large("sent", length, limit)) } else { Ok(length as u32) }
    });
    match result {
        Ok(length) => {
            buffer[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            buffer.truncate(start);
            Err(error)
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
