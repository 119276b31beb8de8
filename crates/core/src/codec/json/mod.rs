//! JSON bodies by one rule, for messages of a .proto and for serde types alike.
//!
//! We send the names of the .proto (or serde's), zero values included, 64-bit integers as text (a JavaScript program
//! would round them), bytes of a message as base64, and `"NaN"`, `"Infinity"`, `"-Infinity"`. We read both spellings of
//! a .proto name, and every number as a number or as text. `null` is an absent field of a message. Unknown fields are
//! ignored, however deep; [`decode_strict`] refuses them. What is read nests less than 128 deep, lists included.
//!
//! A serde type that is flattened, internally tagged or untagged reads its fields without knowing their types, so that
//! text stays text there: what stands under `#[serde(flatten)]` is written with numbers as numbers, and
//! `#[derive(Payload)]` does so for a tagged or untagged type ([`encode_numbers`]).

mod form;
pub mod message;
mod number;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Kind, Result};
use reader::{Reader, State};
use writer::Writer;

/// Writes a value.
///
/// # Errors
///
/// [`Kind::Encode`] naming the type, as for a map whose keys are no text; the buffer is as it was.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use micro_core::codec::json;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order {
///     id: u64,
/// }
///
/// let mut body = BytesMut::new();
/// json::encode(&Order { id: 7 }, &mut body)?;
/// assert_eq!(body, r#"{"id":"7"}"#);
///
/// let order: Order = json::decode(r#"{"id":7,"note":"a field of a newer program"}"#.into())?;
/// assert_eq!(order.id, 7);
/// # Ok::<(), micro_core::Error>(())
/// ```
pub fn encode<T: Serialize>(value: &T, buffer: &mut BytesMut) -> Result<()> {
    write::<T, _>(buffer, |out| value.serialize(Writer::new(out, true)))
}

/// Writes a value with 64-bit integers as numbers, for a type that could not read them back as text.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_numbers<T: Serialize>(value: &T, buffer: &mut BytesMut) -> Result<()> {
    write::<T, _>(buffer, |out| value.serialize(Writer::new(out, false)))
}

/// Writes a message of a .proto, which follows the rule by itself.
///
/// # Errors
///
/// [`Kind::Encode`] naming the type; the buffer is as it was.
pub fn encode_message<T: Serialize>(message: &T, buffer: &mut BytesMut) -> Result<()> {
    write::<T, _>(buffer, |out| message.serialize(out))
}

/// Reads a value. An empty body is read as `{}`, and so is `null` by a type that has no other meaning for it, as
/// go-micro's gateway sends them.
///
/// # Errors
///
/// [`Kind::Decode`] naming the type, the line and the column.
pub fn decode<T: DeserializeOwned>(body: Bytes) -> Result<T> {
    read(&body, false)
}

/// Reads a value and refuses fields that the type does not have, in messages of a .proto and in serde types alike.
///
/// # Errors
///
/// [`Kind::Decode`] naming the type, the unknown field, the line and the column.
///
/// # Examples
///
/// ```
/// # #[derive(Debug, serde::Deserialize)]
/// # struct Order { id: u64 }
/// use micro_core::codec::json;
///
/// let error = json::decode_strict::<Order>(r#"{"id":7,"nmae":"x"}"#.into()).unwrap_err();
/// assert!(error.to_string().contains("unknown field \"nmae\""));
/// ```
pub fn decode_strict<T: DeserializeOwned>(body: Bytes) -> Result<T> {
    read(&body, true)
}

/// Reads a message of a .proto, which follows the rule by itself.
///
/// # Errors
///
/// [`Kind::Decode`] naming the type, the line and the column.
pub fn decode_message<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() || body == b"null" { b"{}" } else { body };
    serde_json::from_slice(body).map_err(no_json::<T>)
}

type Out<'a, 'b> = &'a mut serde_json::Serializer<bytes::buf::Writer<&'b mut BytesMut>>;

fn write<T, F>(buffer: &mut BytesMut, write: F) -> Result<()>
where
    F: for<'a, 'b> FnOnce(Out<'a, 'b>) -> serde_json::Result<()>,
{
    let before = buffer.len();
    let written = write(&mut serde_json::Serializer::new((&mut *buffer).writer()));
    written.map_err(|error| {
        buffer.truncate(before);
        Error::new(Kind::Encode, format!("{} does not encode as JSON", std::any::type_name::<T>())).source(error)
    })
}

fn read<T: DeserializeOwned>(body: &[u8], strict: bool) -> Result<T> {
    if body.is_empty() {
        return read(b"{}", strict);
    }
    let state = State { strict, ..State::default() };
    let first = read_once(body, &state);
    let error = match first {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if body == b"null" {
        return read(b"{}", strict);
    }
    // A type that buffers what it reads cannot say that it wants a number: offer it numbers before giving up.
    if state.met_such_text.get() {
        let state = State { strict, texts_are_numbers: true, ..State::default() };
        if let Ok(value) = read_once(body, &state) {
            return Ok(value);
        }
    }
    Err(no_json::<T>(error))
}

fn read_once<T: DeserializeOwned>(body: &[u8], state: &State) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(Reader::new(&mut json, state))?;
    json.end()?;
    Ok(value)
}

fn no_json<T>(error: serde_json::Error) -> Error {
    Error::new(Kind::Decode, format!("the body is no JSON of type {}", std::any::type_name::<T>())).source(error)
}
