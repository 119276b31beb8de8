//! Protobuf bodies.

use bytes::{Bytes, BytesMut};

use crate::{Error, Kind, Result};

/// Writes a message.
///
/// # Errors
///
/// [`Kind::Encode`] if it is over 2 GiB.
pub fn encode<T: prost::Message>(value: &T, buffer: &mut BytesMut) -> Result<()> {
    value.encode(buffer).map_err(|error| {
        Error::new(Kind::Encode, format!("{} does not encode as protobuf", std::any::type_name::<T>())).source(error)
    })
}

/// Reads a message.
///
/// # Errors
///
/// [`Kind::Decode`] naming the type.
pub fn decode<T: prost::Message + Default>(body: Bytes) -> Result<T> {
    T::decode(body).map_err(|error| {
        Error::new(Kind::Decode, format!("the body is no protobuf message of type {}", std::any::type_name::<T>()))
            .source(error)
    })
}
