use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A JSON object of any shape: `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// The members.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// A JSON value of any kind: `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// The value; none is read as `null`.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<value::Kind>,
}

/// A JSON array: `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// The items.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// JSON's `null`: `google.protobuf.NullValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NullValue {
    /// `null`.
    NullValue = 0,
}

/// What is in a [`Value`].
pub mod value {
    /// The kinds of a JSON value.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// `null`.
        #[prost(enumeration = "super::NullValue", tag = "1")]
        NullValue(i32),
        /// A number.
        #[prost(double, tag = "2")]
        NumberValue(f64),
        /// A text.
        #[prost(string, tag = "3")]
        StringValue(String),
        /// `true` or `false`.
        #[prost(bool, tag = "4")]
        BoolValue(bool),
        /// An object.
        #[prost(message, tag = "5")]
        StructValue(super::Struct),
        /// An array.
        #[prost(message, tag = "6")]
        ListValue(super::ListValue),
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self { kind: Some(value::Kind::$variant(value.into())) }
            }
        }
    )*};
}

from! {
    f64 => NumberValue;
    i32 => NumberValue;
    String => StringValue;
    &str => StringValue;
    bool => BoolValue;
    Struct => StructValue;
    ListValue => ListValue;
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Struct {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self { fields: members.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl Serialize for Struct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.fields)
    }
}

impl Serialize for ListValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.values)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            None | Some(value::Kind::NullValue(_)) => serializer.serialize_unit(),
            // A whole number without the point: `5`, as other JSON writers have it.
            Some(value::Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) => {
                serializer.serialize_i32(*number as i32)
            }
            Some(value::Kind::NumberValue(number)) if number.is_finite() => serializer.serialize_f64(*number),
            Some(value::Kind::NumberValue(number)) => {
                Err(serde::ser::Error::custom(format_args!("google.protobuf.Value has no form in JSON for {number}")))
            }
            Some(value::Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(value::Kind::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(value::Kind::StructValue(value)) => value.serialize(serializer),
            Some(value::Kind::ListValue(value)) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Struct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { fields: BTreeMap::deserialize(deserializer)? })
    }
}

impl<'de> Deserialize<'de> for ListValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { values: Vec::deserialize(deserializer)? })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = value::Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<value::Kind, E> {
                Ok(value::Kind::NullValue(0))
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<value::Kind, E> {
                Ok(value::Kind::BoolValue(value))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<value::Kind, E> {
                Ok(value::Kind::NumberValue(value as f64))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<value::Kind, E> {
                Ok(value::Kind::NumberValue(value as f64))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<value::Kind, E> {
                Ok(value::Kind::NumberValue(value))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<value::Kind, E> {
                Ok(value::Kind::StringValue(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<value::Kind, A::Error> {
                let mut values = Vec::new();
                while let Some(item) = items.next_element()? {
                    values.push(item);
                }
                Ok(value::Kind::ListValue(ListValue { values }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<value::Kind, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    fields.insert(name, value);
                }
                // Some crate of the program turned serde_json's `arbitrary_precision` on: a number comes as an object.
                if let (1, Some(Value { kind: Some(value::Kind::StringValue(text)) })) =
                    (fields.len(), fields.get("$serde_json::private::Number"))
                {
                    return text.parse().map(value::Kind::NumberValue).map_err(A::Error::custom);
                }
                Ok(value::Kind::StructValue(Struct { fields }))
            }
        }
        Ok(Self { kind: Some(deserializer.deserialize_any(ValueVisitor)?) })
    }
}
