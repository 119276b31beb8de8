//! How one field of a message stands in JSON, by its type in the .proto.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::number::{NumberVisitor, name_of_float};

/// Writes and reads a `T` in one form.
pub trait Form<T> {
    /// Whether `null` is a value of its own here, and not the absence of one.
    const TAKES_NULL: bool = false;

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// If what stands there is no such value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>;
}

/// A message, text or a boolean: as serde has it.
#[derive(Debug)]
pub struct Plain;

impl<T: Serialize + for<'de> Deserialize<'de>> Form<T> for Plain {
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// `google.protobuf.Value`, for which `null` is a value.
#[derive(Debug)]
pub struct Anything;

impl<T: Serialize + for<'de> Deserialize<'de>> Form<T> for Anything {
    const TAKES_NULL: bool = true;

    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// `google.protobuf.NullValue`: `null`.
#[derive(Debug)]
pub struct Null;

impl Form<i32> for Null {
    const TAKES_NULL: bool = true;

    fn write<S: Serializer>(_: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| 0)
    }
}

/// A number: of 64 bits as text, of 32 as a number; both are read.
#[derive(Debug)]
pub struct Number;

macro_rules! number {
    ($($type:ty, |$value:ident, $serializer:ident| $write:expr;)*) => {$(
        impl Form<$type> for Number {
            fn write<S: Serializer>($value: &$type, $serializer: S) -> Result<S::Ok, S::Error> {
                $write
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_any(NumberVisitor::<$type>::new())
            }
        }
    )*};
}

number! {
    i32, |value, serializer| serializer.serialize_i32(*value);
    u32, |value, serializer| serializer.serialize_u32(*value);
    i64, |value, serializer| serializer.collect_str(value);
    u64, |value, serializer| serializer.collect_str(value);
    f32, |value, serializer| match name_of_float((*value).into()) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f32(*value),
    };
    f64, |value, serializer| match name_of_float(*value) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f64(*value),
    };
}

/// Bytes: base64; the URL alphabet and missing padding are read too.
#[derive(Debug)]
pub struct Base64;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const READ: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const READ_URL: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

impl<T: AsRef<[u8]> + From<Vec<u8>>> Form<T> for Base64 {
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(value.as_ref(), &STANDARD))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        struct Base64Visitor;

        impl Visitor<'_> for Base64Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes as base64 text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
                let engine = if text.contains(['-', '_']) { &READ_URL } else { &READ };
                engine.decode(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64Visitor).map(T::from)
    }
}

/// The names of an enum's numbers; written by `micro-build`.
pub trait Names {
    /// The enum's name, for errors.
    const NAME: &'static str;

    /// Returns the name of a number.
    fn name_of(number: i32) -> Option<&'static str>;

    /// Returns the number of a name, aliases too.
    fn number_of(name: &str) -> Option<i32>;
}

/// An enum: its name; a number without a name as that number, so that values of a newer program pass.
#[derive(Debug)]
pub struct Enum<E>(PhantomData<E>);

impl<E: Names> Form<i32> for Enum<E> {
    fn write<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        match E::name_of(*value) {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_i32(*value),
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        struct EnumVisitor<E>(PhantomData<E>);

        impl<'de, E: Names> Visitor<'de> for EnumVisitor<E> {
            type Value = i32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a name or number of the enum {}", E::NAME)
            }

            fn visit_str<X: serde::de::Error>(self, name: &str) -> Result<i32, X> {
                E::number_of(name).or_else(|| name.parse().ok()).ok_or_else(|| {
                    X::custom(format_args!("{name:?} is no name of the enum {}; names stand as in the .proto", E::NAME))
                })
            }

            fn visit_i64<X: serde::de::Error>(self, number: i64) -> Result<i32, X> {
                NumberVisitor::<i32>::new().visit_i64(number)
            }

            fn visit_u64<X: serde::de::Error>(self, number: u64) -> Result<i32, X> {
                NumberVisitor::<i32>::new().visit_u64(number)
            }

            fn visit_f64<X: serde::de::Error>(self, number: f64) -> Result<i32, X> {
                NumberVisitor::<i32>::new().visit_f64(number)
            }

            fn visit_map<A: MapAccess<'de>>(self, values: A) -> Result<i32, A::Error> {
                NumberVisitor::<i32>::new().visit_map(values)
            }
        }
        deserializer.deserialize_any(EnumVisitor::<E>(PhantomData))
    }
}

/// A repeated field: an array.
#[derive(Debug)]
pub struct Repeated<F>(PhantomData<F>);

impl<T, F: Form<T>> Form<Vec<T>> for Repeated<F> {
    fn write<S: Serializer>(value: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(value.len()))?;
        for item in value {
            array.serialize_element(&Written::<T, F>::new(item))?;
        }
        array.end()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        struct ArrayVisitor<T, F>(PhantomData<(T, F)>);

        impl<'de, T, F: Form<T>> Visitor<'de> for ArrayVisitor<T, F> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = array.next_element_seed(Read::<T, F>::new())? {
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(ArrayVisitor::<T, F>(PhantomData))
    }
}

/// A map: an object; number keys stand as text.
#[derive(Debug)]
pub struct Map<KF, VF>(PhantomData<(KF, VF)>);

macro_rules! map {
    ($map:ident, $($bound:path),+) => {
        impl<K: $($bound +)+, V, KF: Form<K>, VF: Form<V>> Form<$map<K, V>> for Map<KF, VF> {
            fn write<S: Serializer>(value: &$map<K, V>, serializer: S) -> Result<S::Ok, S::Error> {
                let mut object = serializer.serialize_map(Some(value.len()))?;
                for (key, value) in value {
                    object.serialize_entry(&Written::<K, KF>::new(key), &Written::<V, VF>::new(value))?;
                }
                object.end()
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$map<K, V>, D::Error> {
                struct MapVisitor<K, V, KF, VF>(PhantomData<(K, V, KF, VF)>);

                impl<'de, K: $($bound +)+, V, KF: Form<K>, VF: Form<V>> Visitor<'de> for MapVisitor<K, V, KF, VF> {
                    type Value = $map<K, V>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<$map<K, V>, A::Error> {
                        let mut map = $map::new();
                        while let Some(key) = object.next_key_seed(Read::<K, KF>::new())? {
                            map.insert(key, object.next_value_seed(Read::<V, VF>::new())?);
                        }
                        Ok(map)
                    }
                }
                deserializer.deserialize_map(MapVisitor::<K, V, KF, VF>(PhantomData))
            }
        }
    };
}

map!(HashMap, Eq, Hash);
map!(BTreeMap, Ord);

/// A value that serde writes in a form.
pub(super) struct Written<'a, T, F>(&'a T, PhantomData<F>);

impl<'a, T, F> Written<'a, T, F> {
    pub(super) fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<T, F: Form<T>> Serialize for Written<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(self.0, serializer)
    }
}

/// Reads a value in a form.
pub(super) struct Read<T, F>(PhantomData<(T, F)>);

impl<T, F> Read<T, F> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T, F: Form<T>> DeserializeSeed<'de> for Read<T, F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        F::read(deserializer)
    }
}

/// Reads a value in a form; `null` is none, unless the form takes it.
pub(super) struct ReadOption<T, F>(PhantomData<(T, F)>);

impl<T, F> ReadOption<T, F> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T, F: Form<T>> DeserializeSeed<'de> for ReadOption<T, F> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        if F::TAKES_NULL { F::read(deserializer).map(Some) } else { deserializer.deserialize_option(self) }
    }
}

impl<'de, T, F: Form<T>> Visitor<'de> for ReadOption<T, F> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        F::read(deserializer).map(Some)
    }
}

/// Refuses a second member of a oneof.
pub(super) fn one_only<E: serde::de::Error>(oneof: &str) -> E {
    E::custom(format_args!("two members of the oneof {oneof} have a value; send one"))
}

/// Reads an enum that stands by itself.
pub(super) fn read_enum<'de, E: Names + TryFrom<i32>, D: Deserializer<'de>>(deserializer: D) -> Result<E, D::Error> {
    let number = <Enum<E> as Form<i32>>::read(deserializer)?;
    E::try_from(number).map_err(|_| D::Error::custom(format_args!("{number} is no number of the enum {}", E::NAME)))
}
