//! What the code that `micro-build` writes stands on. Not for people to call: it changes with the generator.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeStruct, Serializer};

pub use super::form::{Anything, Base64, Enum, Form, Map, Names, Null, Number, Plain, Repeated};
use super::form::{Read, ReadOption, Written, one_only};

/// A message whose fields are read one by one.
pub trait Fields: Default {
    /// The message's full name, for errors.
    const NAME: &'static str;
    /// The fields' names in the .proto.
    const FIELDS: &'static [&'static str];

    /// Reads the value of a field, under either of its names; false if there is no such field.
    ///
    /// # Errors
    ///
    /// If the value is none of the field's type.
    fn read_field<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error>;
}

/// Reads a message.
///
/// # Errors
///
/// If it is no object, or a field's value is none of its type.
pub fn read<'de, T: Fields, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct MessageVisitor<T>(PhantomData<T>);

    impl<'de, T: Fields> Visitor<'de> for MessageVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object: the message {}", T::NAME)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<T, A::Error> {
            let mut message = T::default();
            while let Some(name) = values.next_key_seed(FieldName)? {
                if !message.read_field(&name, &mut values)? {
                    values.next_value::<IgnoredAny>()?;
                }
            }
            Ok(message)
        }
    }
    deserializer.deserialize_struct(T::NAME, T::FIELDS, MessageVisitor(PhantomData))
}

/// A field's name: borrowed from the body, unless it has escapes in it.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Begins to write a message with at most so many fields.
///
/// # Errors
///
/// Those of the serializer.
pub fn begin<S: Serializer>(serializer: S, name: &'static str, fields: usize) -> Result<S::SerializeStruct, S::Error> {
    serializer.serialize_struct(name, fields)
}

/// Writes a field that always has a value.
///
/// # Errors
///
/// Those of the serializer.
pub fn field<F: Form<T>, T, S: SerializeStruct>(out: &mut S, name: &'static str, value: &T) -> Result<(), S::Error> {
    out.serialize_field(name, &Written::<T, F>::new(value))
}

/// Writes a field that may be absent.
///
/// # Errors
///
/// Those of the serializer.
pub fn optional<F: Form<T>, T, S: SerializeStruct>(
    out: &mut S,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), S::Error> {
    match value {
        Some(value) => field::<F, T, S>(out, name, value),
        None => out.skip_field(name),
    }
}

/// Reads a field that always has a value: `null` leaves it as it is.
///
/// # Errors
///
/// If the value is none of the field's type.
pub fn read_into<'de, F: Form<T>, T, A: MapAccess<'de>>(values: &mut A, field: &mut T) -> Result<(), A::Error> {
    if let Some(value) = values.next_value_seed(ReadOption::<T, F>::new())? {
        *field = value;
    }
    Ok(())
}

/// Reads a field that may be absent.
///
/// # Errors
///
/// If the value is none of the field's type.
pub fn read_optional<'de, F: Form<T>, T, A: MapAccess<'de>>(
    values: &mut A,
    field: &mut Option<T>,
) -> Result<(), A::Error> {
    *field = values.next_value_seed(ReadOption::<T, F>::new())?;
    Ok(())
}

/// Reads a member of a oneof.
///
/// # Errors
///
/// If the value is none of the member's type, or another member has a value too.
pub fn read_member<'de, F: Form<T>, T, O, A: MapAccess<'de>>(
    values: &mut A,
    oneof: &'static str,
    field: &mut Option<O>,
    member: fn(T) -> O,
) -> Result<(), A::Error> {
    if let Some(value) = values.next_value_seed(ReadOption::<T, F>::new())? {
        if field.is_some() {
            return Err(one_only(oneof));
        }
        *field = Some(member(value));
    }
    Ok(())
}

/// Writes an enum that stands by itself, outside a message.
///
/// # Errors
///
/// Those of the serializer.
pub fn write_enum<E: Names, S: Serializer>(number: i32, serializer: S) -> Result<S::Ok, S::Error> {
    <Enum<E> as Form<i32>>::write(&number, serializer)
}

/// Reads an enum that stands by itself, outside a message.
///
/// # Errors
///
/// If it is no name or number of the enum.
pub fn read_enum<'de, E: Names + TryFrom<i32>, D: Deserializer<'de>>(deserializer: D) -> Result<E, D::Error> {
    super::form::read_enum(deserializer)
}

/// Reads a value in a form.
///
/// # Errors
///
/// If the value is none of the form's.
pub fn read_form<'de, F: Form<T>, T, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Read::<T, F>::new().deserialize(deserializer)
}
