//! Bodies by content type: protobuf, JSON and bytes.
//!
//! A type says by [`Payload`] which formats it has. Generated messages have protobuf and JSON; a serde type with
//! `#[derive(Payload)]` has JSON; [`Bytes`] passes untouched.

mod format;
pub mod json;
pub mod message;
pub mod protobuf;
pub mod well_known;

use bytes::{Bytes, BytesMut};

pub use format::{ContentType, Format};

use crate::registry::Value;
use crate::{Error, Kind, Result};

/// A value that can be the body of a call or an event.
///
/// `micro-build` writes it for messages of a .proto; `#[derive(Payload)]` beside serde's derives writes it for a type of
/// your own. By hand it is for formats of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of a call or an event",
    label = "no `Payload`",
    note = "a message of a .proto gets `Payload` by `micro_build::compile` in build.rs",
    note = "a type of your own gets it by `#[derive(serde::Serialize, serde::Deserialize, micro::Payload)]`"
)]
pub trait Payload: Sized + Send + Sync + 'static {
    /// The formats this type can be written in and read from; the first is its own choice for events.
    const FORMATS: &'static [Format];

    /// Writes the value behind what is in the buffer.
    ///
    /// # Errors
    ///
    /// [`Kind::Encode`], or [`Kind::UnsupportedContentType`] for a format that is not in [`FORMATS`](Self::FORMATS).
    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Kind::Decode`] saying where, or [`Kind::UnsupportedContentType`].
    fn decode(format: Format, body: Bytes) -> Result<Self>;

    /// Returns how many bytes [`encode`](Self::encode) will write, or a guess; the buffer is made that large.
    fn size_hint(&self, format: Format) -> usize {
        let _ = format;
        128
    }

    /// Returns the shape of the type for the registry: the type's name with its fields.
    #[must_use]
    fn describe() -> Value {
        let name = std::any::type_name::<Self>();
        let name = name.rsplit("::").next().unwrap_or(name);
        Value::new(name, name)
    }
}

/// Returns the error for a format that a type does not have.
#[must_use]
pub fn no_such_format<T: Payload>(format: Format) -> Error {
    let known: Vec<_> = T::FORMATS.iter().map(|format| format.name()).collect();
    Error::new(
        Kind::UnsupportedContentType,
        format!("{} has no {} form; it has: {}", std::any::type_name::<T>(), format.name(), known.join(", ")),
    )
}

impl Payload for Bytes {
    const FORMATS: &'static [Format] = &[Format::Bytes, Format::Protobuf, Format::Json];

    fn encode(&self, _: Format, buffer: &mut BytesMut) -> Result<()> {
        buffer.extend_from_slice(self);
        Ok(())
    }

    fn decode(_: Format, body: Bytes) -> Result<Self> {
        Ok(body)
    }

    fn size_hint(&self, _: Format) -> usize {
        self.len()
    }

    fn describe() -> Value {
        Value::new("Frame", "bytes")
    }
}

impl Payload for () {
    const FORMATS: &'static [Format] = &[Format::Protobuf, Format::Json];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        if format == Format::Json {
            buffer.extend_from_slice(b"{}");
        }
        Ok(())
    }

    fn decode(_: Format, _: Bytes) -> Result<Self> {
        Ok(())
    }

    fn size_hint(&self, _: Format) -> usize {
        2
    }

    fn describe() -> Value {
        Value::new("Empty", "Empty")
    }
}
