//! Bytes as they are.

use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use micro_conformance::codec::Sample;
use micro_core::Result;
use micro_core::codec::{Format, Payload};

use super::Of;
use super::protobuf::Message;

/// Bytes; and what else somebody tries to write as bytes.
enum Binary {
    Data(Bytes),
    Message(Box<Message>),
}

impl From<Sample> for Binary {
    fn from(sample: Sample) -> Self {
        if sample.is_data() { Self::Data(sample.data) } else { Self::Message(Box::new(sample.into())) }
    }
}

impl From<Binary> for Sample {
    fn from(binary: Binary) -> Self {
        match binary {
            Binary::Data(data) => Self::of_data(data),
            Binary::Message(message) => (*message).into(),
        }
    }
}

impl Payload for Binary {
    const FORMATS: &'static [Format] = &[Format::Bytes];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        match self {
            Self::Data(data) => data.encode(format, buffer),
            Self::Message(message) => message.encode(format, buffer),
        }
    }

    fn decode(format: Format, body: Bytes) -> Result<Self> {
        Bytes::decode(format, body).map(Self::Data)
    }
}

micro_conformance::codec_cases!(Of::<Binary> {
    name: "codec-bytes",
    format: Format::Bytes,
    content_types: &["application/octet-stream", "application/bytes", "application/grpc+bytes"],
    fields: None,
    form: PhantomData,
});
