//! The message of the RPC rows, the same bytes on both stacks.

use bytes::{Bytes, BytesMut};
use micro_core::codec::{Format, Payload, protobuf};

/// `message Echo { string body = 1; }`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Echo {
    /// What comes back.
    #[prost(string, tag = "1")]
    pub(crate) body: String,
}

impl Echo {
    /// A message with a body of this many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        Self { body: "x".repeat(bytes) }
    }
}

/// As `micro-build` writes it, without JSON.
impl Payload for Echo {
    const FORMATS: &'static [Format] = &[Format::Protobuf];

    fn encode(&self, _: Format, buffer: &mut BytesMut) -> micro_core::Result<()> {
        protobuf::encode(self, buffer)
    }

    fn decode(_: Format, body: Bytes) -> micro_core::Result<Self> {
        protobuf::decode(body)
    }

    fn size_hint(&self, _: Format) -> usize {
        prost::Message::encoded_len(self)
    }
}
