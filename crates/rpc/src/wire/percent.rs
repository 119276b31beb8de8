//! The percent-encoding of `grpc-message`: bytes outside 0x20–0x7E, and `%`.

use std::fmt::Write;

pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..=0x7E).contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Reads a message. Broken escapes stay as they are, and what is no UTF-8 is replaced: an error text is worth showing.
pub(crate) fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_is_encoded() {
        assert_eq!(encode("{\"a\": é%}\n"), "{\"a\": %C3%A9%25}%0A");
        assert_eq!(decode(b"{\"a\": %C3%A9%25}%0A"), "{\"a\": é%}\n");
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode(b"100% %zz %4"), "100% %zz %4");
    }
}
