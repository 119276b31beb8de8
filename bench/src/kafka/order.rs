//! The event that is published and consumed.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use micro_core::codec::{Format, Payload, protobuf};
use rdkafka::message::{Header, OwnedHeaders};
use uuid::fmt::Hyphenated;

use crate::Result;

/// The headers that an event has, and the value of the first.
pub(super) const CONTENT_TYPE: &str = "Content-Type";
pub(super) const ID: &str = "Micro-Id";
pub(super) const PROTOBUF: &str = "application/protobuf";

/// An order of exactly 100 bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Order {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
    #[prost(string, tag = "3")]
    pub(super) message: String,
}

/// As `micro-build` writes it, without JSON.
impl Payload for Order {
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

pub(super) fn order() -> Order {
    let mut order = Order {
        id: "0b8d4b3e-8f0f-4c58-9d5e-6a0f1f8a7c11".to_owned(),
        timestamp: 1_620_000_000,
        message: String::new(),
    };
    while prost::Message::encoded_len(&order) < 100 {
        order.message.push('m');
    }
    order
}

/// What the peer sends: the same bytes, and an id that is made no dearer than ours.
#[derive(Debug)]
pub(super) struct Outgoing {
    order: Order,
    pub(super) body: Vec<u8>,
    id: [u8; Hyphenated::LENGTH],
    random: fastrand::Rng,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            order: order(),
            body: Vec::with_capacity(100),
            id: [0; Hyphenated::LENGTH],
            random: fastrand::Rng::new(),
        }
    }

    /// Encodes the order again, and makes the next id.
    pub(super) fn renew(&mut self) -> Result<()> {
        self.body.clear();
        prost::Message::encode(&self.order, &mut self.body).map_err(|e| e.to_string())?;
        let mut random = [0; 10];
        self.random.fill(&mut random);
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        id.hyphenated().encode_lower(&mut self.id);
        Ok(())
    }

    pub(super) fn headers(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: CONTENT_TYPE, value: Some(PROTOBUF) })
            .insert(Header { key: ID, value: Some(&self.id) })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_has_100_bytes() {
        assert_eq!(prost::Message::encoded_len(&super::order()), 100);
    }
}
