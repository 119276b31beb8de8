//! go-micro's common encoding of a message: `{"Header":{…},"Body":"…"}`, as its Kafka plugin writes it.
//!
//! The rules are those of Go's encoding/json for the struct without tags: header names sorted, `<`, `>`, `&`, U+2028 and
//! U+2029 escaped, the body in padded standard base64; `null` for what is not there. Reading takes names without case.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use micro_core::broker::Message;
use micro_core::{Error, Headers, Kind, Result};
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// Writes a message as an envelope.
///
/// # Errors
///
/// A header that is no UTF-8, or stands twice: Go has a map of strings there.
pub(crate) fn write(message: &Message) -> Result<Vec<u8>> {
    let mut sorted = BTreeMap::new();
    for (name, value) in message.headers.iter() {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (Some(key), Some(value)) = (text(name), text(value)) else {
            return Err(refused(name, "is no text"));
        };
        if sorted.insert(key, value).is_some() {
            return Err(refused(name, "stands twice"));
        }
    }
    let mut text = String::with_capacity(64 + message.body.len() / 3 * 4);
    text.push_str("{\"Header\":{");
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        quote(&mut text, name);
        text.push(':');
        quote(&mut text, value);
    }
    text.push_str("},\"Body\":\"");
    STANDARD.encode_string(&message.body, &mut text);
    text.push_str("\"}");
    Ok(text.into_bytes())
}

fn refused(name: &[u8], why: &str) -> Error {
    let name = String::from_utf8_lossy(name);
    Error::new(Kind::InvalidArgument, format!("the header {name:?} {why}, which go-micro's envelope cannot carry"))
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Opens an envelope: an object of exactly the names Header and Body. `None` if it is anything else.
pub(crate) fn read(value: &[u8]) -> Option<(Headers, Bytes)> {
    // Most records are none, and protobuf never begins so.
    if value.first() != Some(&b'{') {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_slice(value);
    let envelope = reader.deserialize_map(EnvelopeVisitor).ok()?;
    reader.end().ok()?;
    Some(envelope)
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = (Headers, Bytes);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of Header and Body")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut headers, mut body) = (None, None);
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name.eq_ignore_ascii_case("header") && headers.is_none() {
                headers = Some(map.next_value::<Option<BTreeMap<String, String>>>()?.unwrap_or_default());
            } else if name.eq_ignore_ascii_case("body") && body.is_none() {
                body = Some(map.next_value::<Option<Cow<'_, str>>>()?.unwrap_or_default());
            } else {
                return Err(de::Error::custom("a third name"));
            }
        }
        let (Some(headers), Some(body)) = (headers, body) else {
            return Err(de::Error::custom("a name is missing"));
        };
        let body = STANDARD.decode(body.as_bytes()).map_err(de::Error::custom)?;
        Ok((headers.into_iter().collect(), body.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_go() {
        let message = Message::new("abc").header("Micro-Topic", "a<b>&c\u{2028}").header("Content-Type", "text/plain");
        let text =
            r#"{"Header":{"Content-Type":"text/plain","Micro-Topic":"a\u003cb\u003e\u0026c\u2028"},"Body":"YWJj"}"#;
        assert_eq!(String::from_utf8(write(&message).unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_written_is_read() {
        let message = Message::new(vec![0, 255, 60]).header("A", "\"\\\n\u{1}ü").header("b", "");
        let (headers, body) = read(&write(&message).unwrap()).unwrap();
        assert_eq!((headers, body), (message.headers, message.body));
    }

    #[test]
    fn null_and_either_case_are_read() {
        let (headers, body) = read(br#"{"header":null,"BODY":null}"#).unwrap();
        assert!(headers.is_empty() && body.is_empty());
        let (headers, _) = read(br#" {"#).map_or((Headers::new(), Bytes::new()), |e| e);
        assert!(headers.is_empty());
    }

    #[test]
    fn anything_else_is_no_envelope() {
        for other in [
            &b"plain"[..],
            b"",
            b"{",
            b"{}",
            br#"{"Header":{}}"#,
            br#"{"Header":{},"Body":"YQ==","More":1}"#,
            br#"{"Header":{"a":1},"Body":"YQ=="}"#,
            br#"{"Header":{},"Body":"YQ"}"#,
            br#"{"Header":{},"Body":"YQ=="} x"#,
        ] {
            assert!(read(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn what_go_s_map_cannot_hold_is_refused_by_name() {
        for message in [Message::new("").header("A", "1").header("A", "2"), Message::new("").header("A", vec![0xff])] {
            assert!(write(&message).unwrap_err().to_string().contains("\"A\""));
        }
    }
}
