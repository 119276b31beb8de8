use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::codec::json::message::{Base64, Form};

/// A message of any type, as its bytes: `google.protobuf.Any`.
///
/// In JSON `{"@type": "type.googleapis.com/shop.Order", "value": "<base64>"}`: the type is not at hand to write its
/// fields, so what is inside stays protobuf.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, prost::Message)]
pub struct Any {
    /// Which type: `type.googleapis.com/` and the message's full name.
    #[prost(string, tag = "1")]
    #[serde(default, rename = "@type", alias = "type_url", alias = "typeUrl")]
    pub type_url: String,
    /// The message as protobuf.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(default, serialize_with = "write", deserialize_with = "read")]
    pub value: Vec<u8>,
}

fn write<S: Serializer>(value: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
    Base64::write(value, serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Base64::read(deserializer)
}

impl Any {
    /// Packs a message of this full name, as `shop.Order`.
    #[must_use]
    pub fn pack<M: prost::Message>(full_name: &str, message: &M) -> Self {
        Self { type_url: format!("type.googleapis.com/{full_name}"), value: message.encode_to_vec() }
    }

    /// Returns the full name of the message inside.
    #[must_use]
    pub fn full_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }
}
