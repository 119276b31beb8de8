//! Protobuf, on a message of a .proto.

use bytes::{BufMut, Bytes};
use micro_conformance::codec::{Fields, Sample, Unknown};
use micro_core::Result;
use micro_core::codec::{Format, Payload};

use super::{Of, form_of_sample, written};

/// Written by `micro-build`, whose tests see that it is what it writes today.
#[allow(clippy::all, clippy::pedantic)]
mod generated {
    include!("../../../../build/tests/it/generated/sample.rs");
}

pub(crate) use generated::Message;

form_of_sample!(Message);

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
