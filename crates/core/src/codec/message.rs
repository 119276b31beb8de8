//! What generated messages share. Not for people to call: it changes with the generator, `micro-build`.

use std::cell::Cell;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Format, Payload, json, no_such_format, protobuf};
use crate::Result;
use crate::registry::Value;

/// The formats of a generated message.
pub const FORMATS: &[Format] = &[Format::Protobuf, Format::Json];

/// How deep a description goes: the message, its fields, and the fields of those.
pub const DEPTH: usize = 2;

/// The shape of a generated message.
pub trait Shape {
    /// The name of the type, as Go has it: `Outer_Inner` for a nested one.
    const NAME: &'static str;

    /// Returns the fields, with those of messages among them until the depth is used up.
    fn fields(depth: usize) -> Vec<Value>;
}

/// Describes a field that holds a message: `prefix` is `[]` for a repeated one.
#[must_use]
pub fn nested<T: Shape>(name: &str, prefix: &str, depth: usize) -> Value {
    let mut value = Value::new(name, format!("{prefix}{}", T::NAME));
    if depth > 1 {
        value.values = T::fields(depth - 1);
    }
    value
}

/// Describes a message.
#[must_use]
pub fn describe<T: Shape>() -> Value {
    let mut value = Value::new(T::NAME, T::NAME);
    value.values = T::fields(DEPTH);
    value
}

/// Writes a message in a format.
///
/// # Errors
///
/// [`Kind::Encode`](crate::Kind::Encode) or [`Kind::UnsupportedContentType`](crate::Kind::UnsupportedContentType).
pub fn encode<T: Payload + prost::Message + Serialize>(
    message: &T,
    format: Format,
    buffer: &mut BytesMut,
) -> Result<()> {
    match format {
        Format::Protobuf => protobuf::encode(message, buffer),
        Format::Json => json::encode_message(message, buffer),
        Format::Bytes => Err(no_such_format::<T>(format)),
    }
}

/// Reads a message in a format.
///
/// # Errors
///
/// [`Kind::Decode`](crate::Kind::Decode) or [`Kind::UnsupportedContentType`](crate::Kind::UnsupportedContentType).
pub fn decode<T: Payload + prost::Message + Default + DeserializeOwned>(format: Format, body: Bytes) -> Result<T> {
    match format {
        Format::Protobuf => protobuf::decode(body),
        Format::Json => json::decode_message(&body),
        Format::Bytes => Err(no_such_format::<T>(format)),
    }
}

/// Guesses how large a message becomes: exact for protobuf.
pub fn size_hint<T: prost::Message>(message: &T, format: Format) -> usize {
    match format {
        Format::Protobuf => message.encoded_len(),
        // Names and quotes; a buffer that is too small grows once.
        _ => 64 + 3 * message.encoded_len(),
    }
}

thread_local! {
    static LEVEL: Cell<usize> = const { Cell::new(0) };
}

/// Asks a type inside a derived payload for its fields, if it is a payload itself.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    /// Creates a probe.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "generated code says `new`")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Payload> Probe<T> {
    /// Describes a field that holds the type.
    #[must_use]
    pub fn field(&self, name: &str, kind: &str) -> Value {
        let mut value = Value::new(name, kind);
        let level = LEVEL.get();
        // A type that holds itself would go on for ever.
        if level + 1 < DEPTH {
            LEVEL.set(level + 1);
            value.values = T::describe().values;
            LEVEL.set(level);
            prune(&mut value.values, DEPTH - level - 1);
        }
        value
    }
}

/// Takes away what is deeper than so many levels.
fn prune(values: &mut [Value], levels: usize) {
    for value in values {
        if levels <= 1 {
            value.values.clear();
        } else {
            prune(&mut value.values, levels - 1);
        }
    }
}

/// What a [`Probe`] says of a type that is no payload: nothing. A method of the probe's own goes before it.
pub trait NoFields {
    /// Describes a field by its word alone.
    #[must_use]
    fn field(&self, name: &str, kind: &str) -> Value {
        Value::new(name, kind)
    }
}

impl<T> NoFields for Probe<T> {}
