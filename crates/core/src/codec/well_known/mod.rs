//! The messages of `google.protobuf` that a .proto imports without having a copy: `Timestamp`, `Duration`, `Empty`,
//! `Struct`, `Any`, the wrappers. Each has the JSON form that protobuf gives it, and is a [`Payload`].

mod any;
mod duration;
mod empty;
mod field_mask;
mod structure;
#[cfg(test)]
mod tests;
mod timestamp;
mod wrappers;

use bytes::{Bytes, BytesMut};

use super::{Format, Payload, message};
use crate::Result;
use crate::registry;

pub use any::Any;
pub use duration::Duration;
pub use empty::Empty;
pub use field_mask::FieldMask;
pub use structure::{ListValue, NullValue, Struct, Value, value};
pub use timestamp::Timestamp;
pub use wrappers::{
    BoolValue, BytesValue, DoubleValue, FloatValue, Int32Value, Int64Value, StringValue, UInt32Value, UInt64Value,
};

macro_rules! payload {
    ($($type:ident { $($field:literal: $kind:literal),* })*) => {$(
        impl message::Shape for $type {
            const NAME: &'static str = stringify!($type);

            fn fields(_: usize) -> Vec<registry::Value> {
                vec![$(registry::Value::new($field, $kind)),*]
            }
        }

        impl Payload for $type {
            const FORMATS: &'static [Format] = message::FORMATS;

            fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
                message::encode(self, format, buffer)
            }

            fn decode(format: Format, body: Bytes) -> Result<Self> {
                message::decode(format, body)
            }

            fn size_hint(&self, format: Format) -> usize {
                message::size_hint(self, format)
            }

            fn describe() -> registry::Value {
                message::describe::<Self>()
            }
        }
    )*};
}

payload! {
    Any { "type_url": "string", "value": "bytes" }
    Duration { "seconds": "int64", "nanos": "int32" }
    Empty {}
    FieldMask { "paths": "[]string" }
    Struct { "fields": "" }
    Value {}
    ListValue { "values": "[]Value" }
    Timestamp { "seconds": "int64", "nanos": "int32" }
    BoolValue { "value": "bool" }
    BytesValue { "value": "bytes" }
    DoubleValue { "value": "float64" }
    FloatValue { "value": "float32" }
    Int32Value { "value": "int32" }
    Int64Value { "value": "int64" }
    StringValue { "value": "string" }
    UInt32Value { "value": "uint32" }
    UInt64Value { "value": "uint64" }
}
