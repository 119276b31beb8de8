//! Protobuf, on a message as it is generated.

use bytes::{BufMut, Bytes, BytesMut};
use micro_conformance::codec::{Fields, Sample, Unknown};
use micro_core::codec::{Format, Payload, message};
use micro_core::{Result, codec};

use super::{Of, form_of_sample, written};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(bool, tag = "1")]
    truth: bool,
    #[prost(int32, tag = "2")]
    small: i32,
    #[prost(sint64, tag = "3")]
    wide: i64,
    #[prost(uint32, tag = "4")]
    positive: u32,
    #[prost(fixed64, tag = "5")]
    huge: u64,
    #[prost(float, tag = "6")]
    narrow: f32,
    #[prost(double, tag = "7")]
    float: f64,
    #[prost(string, tag = "8")]
    text: String,
    #[prost(bytes = "bytes", tag = "9")]
    data: Bytes,
    #[prost(int64, repeated, tag = "10")]
    list: Vec<i64>,
    #[prost(message, optional, boxed, tag = "11")]
    inner: Option<Box<Message>>,
    #[prost(message, repeated, tag = "12")]
    many: Vec<Message>,
}

form_of_sample!(Message);

impl Payload for Message {
    const FORMATS: &'static [Format] = &[Format::Protobuf];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        match format {
            Format::Protobuf => codec::protobuf::encode(self, buffer),
            _ => Err(codec::no_such_format::<Self>(format)),
        }
    }

    fn decode(format: Format, body: Bytes) -> Result<Self> {
        match format {
            Format::Protobuf => codec::protobuf::decode(body),
            _ => Err(codec::no_such_format::<Self>(format)),
        }
    }

    fn size_hint(&self, format: Format) -> usize {
        message::size_hint(self, format)
    }
}

const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const UNKNOWN: u64 = 99;

fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

fn put_key(buffer: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(buffer, field << 3 | wire);
}

#[derive(Debug)]
struct Protobuf;

impl Fields for Protobuf {
    fn unknown(&self) -> Unknown {
        Unknown::Ignored
    }

    fn newer(&self, sample: &Sample, value: &str) -> Result<(Bytes, &'static str)> {
        let mut body = Vec::new();
        put_key(&mut body, UNKNOWN, LENGTH);
        put_varint(&mut body, value.len() as u64);
        body.extend_from_slice(value.as_bytes());
        body.extend_from_slice(&written(&Message::from(sample.clone()), Format::Protobuf)?);
        Ok((body.into(), "99"))
    }

    fn pass_on(&self, body: Bytes) -> Result<Bytes> {
        written(&Message::decode(Format::Protobuf, body)?, Format::Protobuf)
    }

    /// `prost` takes it for the default, and leaves it out.
    fn minus_zero(&self) -> bool {
        false
    }

    fn deep(&self, levels: usize) -> Vec<Bytes> {
        [11, 12].map(|field| nested(field, levels)).into()
    }

    fn deep_unknown(&self, levels: usize) -> Vec<Bytes> {
        let mut groups = Vec::new();
        (0..levels).for_each(|_| put_key(&mut groups, UNKNOWN, GROUP));
        (0..levels).for_each(|_| put_key(&mut groups, UNKNOWN, END_GROUP));
        vec![groups.into()]
    }

    fn announcing(&self, size: u32) -> Vec<Bytes> {
        [8, 9, 10, 11, 12, UNKNOWN]
            .map(|field| {
                let mut body = Vec::new();
                put_key(&mut body, field, LENGTH);
                put_varint(&mut body, size.into());
                put_key(&mut body, 2, VARINT);
                put_varint(&mut body, 1);
                body.into()
            })
            .into()
    }
}

/// A message in a message in … so many; written from the outside.
fn nested(field: u64, levels: usize) -> Bytes {
    let head = |length: usize| {
        let mut head = Vec::new();
        put_key(&mut head, field, LENGTH);
        put_varint(&mut head, length as u64);
        head
    };
    let mut heads = Vec::with_capacity(levels);
    let mut length = 0;
    for _ in 0..levels {
        heads.push(head(length));
        length += heads.last().map_or(0, Vec::len);
    }
    heads.into_iter().rev().flatten().collect::<Vec<_>>().into()
}

pub(crate) fn codec() -> Of<Message> {
    Of {
        name: "codec-protobuf",
        format: Format::Protobuf,
        content_types: &[
            "application/protobuf",
            "application/proto",
            "application/x-protobuf",
            "application/grpc",
            "application/grpc+proto",
        ],
        fields: Some(&Protobuf),
        form: std::marker::PhantomData,
    }
}

micro_conformance::codec_cases!(codec());
