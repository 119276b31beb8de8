use bytes::Bytes;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::codec::json::message::{Base64, Form, Number, Plain};

macro_rules! wrapper {
    ($($name:ident($type:ty, $tag:ident, $form:ident; $($derive:ident),*): $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, $($derive,)* prost::Message)]
        pub struct $name {
            /// The value.
            #[prost($tag, tag = "1")]
            pub value: $type,
        }

        impl From<$type> for $name {
            fn from(value: $type) -> Self {
                Self { value }
            }
        }

        impl From<$name> for $type {
            fn from(wrapper: $name) -> Self {
                wrapper.value
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$form as Form<$type>>::write(&self.value, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self { value: <$form as Form<$type>>::read(deserializer)? })
            }
        }
    )*};
}

wrapper! {
    BoolValue(bool, bool, Plain; Copy, PartialEq, Eq, Hash): "A boolean that can be absent: `google.protobuf.BoolValue`. In JSON `true`.";
    DoubleValue(f64, double, Number; Copy, PartialEq): "A number of 64 bits that can be absent: `google.protobuf.DoubleValue`. In JSON `1.5`.";
    FloatValue(f32, float, Number; Copy, PartialEq): "A number of 32 bits that can be absent: `google.protobuf.FloatValue`. In JSON `1.5`.";
    Int32Value(i32, int32, Number; Copy, PartialEq, Eq, Hash): "An integer of 32 bits that can be absent: `google.protobuf.Int32Value`. In JSON `5`.";
    Int64Value(i64, int64, Number; Copy, PartialEq, Eq, Hash): "An integer of 64 bits that can be absent: `google.protobuf.Int64Value`. In JSON `\"5\"`.";
    StringValue(String, string, Plain; PartialEq, Eq, Hash): "A text that can be absent: `google.protobuf.StringValue`. In JSON `\"text\"`.";
    UInt32Value(u32, uint32, Number; Copy, PartialEq, Eq, Hash): "An unsigned integer of 32 bits that can be absent: `google.protobuf.UInt32Value`. In JSON `5`.";
    UInt64Value(u64, uint64, Number; Copy, PartialEq, Eq, Hash): "An unsigned integer of 64 bits that can be absent: `google.protobuf.UInt64Value`. In JSON `\"5\"`.";
}

/// Bytes that can be absent: `google.protobuf.BytesValue`. In JSON base64 text.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BytesValue {
    /// The value.
    #[prost(bytes = "bytes", tag = "1")]
    pub value: Bytes,
}

impl From<Bytes> for BytesValue {
    fn from(value: Bytes) -> Self {
        Self { value }
    }
}

impl Serialize for BytesValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Base64::write(&self.value, serializer)
    }
}

impl<'de> Deserialize<'de> for BytesValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: Base64::read(deserializer)? })
    }
}
