//! JSON bodies: the names of the .proto, zero values included, 64-bit integers as strings; unknown fields are ignored.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Kind, Result};

/// Writes a value.
///
/// # Errors
///
/// [`Kind::Encode`] naming the type, as for a map whose keys are no text.
pub fn encode<T: Serialize>(value: &T, buffer: &mut BytesMut) -> Result<()> {
    serde_json::to_writer(buffer.writer(), value).map_err(|error| {
        Error::new(Kind::Encode, format!("{} does not encode as JSON", std::any::type_name::<T>())).source(error)
    })
}

/// Reads a value. An empty body and `null` are read as `{}`, as go-micro's gateway sends them.
///
/// # Errors
///
/// [`Kind::Decode`] naming the type, the line and the column.
pub fn decode<T: DeserializeOwned>(body: Bytes) -> Result<T> {
    let body = if body.is_empty() || &body[..] == b"null" { Bytes::from_static(b"{}") } else { body };
    serde_json::from_slice(&body).map_err(|error| {
        Error::new(Kind::Decode, format!("the body is no JSON of type {}", std::any::type_name::<T>())).source(error)
    })
}
