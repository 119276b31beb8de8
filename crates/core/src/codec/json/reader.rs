//! Puts the JSON rule between `serde_json` and a type: numbers are read from text too, and strictness refuses unknown
//! fields.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::number::Number;

/// What one reading of a body knows.
#[derive(Default)]
pub(super) struct State {
    /// Refuse fields that the type does not have.
    pub(super) strict: bool,
    /// Give text that is a whole number to types that say nothing of what they expect as a number.
    pub(super) texts_are_numbers: bool,
    /// Such a text was there.
    pub(super) met_such_text: Cell<bool>,
    /// The field being read, kept only when strict.
    pub(super) field: RefCell<String>,
}

/// What the type has said it expects.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Integer,
    Float,
    /// Said nothing: a buffered, flattened or untagged type.
    Anything,
    /// The name of a field.
    Name,
    Other,
}

/// A deserializer round a deserializer.
pub(super) struct Reader<'s, D> {
    inner: D,
    state: &'s State,
    is_key: bool,
}

impl<'s, D> Reader<'s, D> {
    pub(super) fn new(inner: D, state: &'s State) -> Self {
        Self { inner, state, is_key: false }
    }

    fn wrap<V>(&self, visitor: V, expect: Expect) -> Wrap<'s, V> {
        let expect =
            if self.is_key && matches!(expect, Expect::Other | Expect::Anything) { Expect::Name } else { expect };
        Wrap { visitor, state: self.state, expect }
    }
}

macro_rules! forward {
    ($expect:ident: $($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.wrap(visitor, Expect::$expect);
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

macro_rules! number {
    ($expect:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.wrap(visitor, Expect::$expect);
            self.inner.deserialize_any(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = D::Error;

    number! { Integer:
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    number! { Float: deserialize_f32 deserialize_f64 }

    forward! { Anything: deserialize_any(); }

    forward! { Other:
        deserialize_bool();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.state.strict {
            let field = self.state.field.borrow();
            return Err(D::Error::custom(format_args!(
                "unknown field {:?}: take it out, or read without the strict option",
                field.as_str()
            )));
        }
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

struct Wrap<'s, V> {
    visitor: V,
    state: &'s State,
    expect: Expect,
}

impl<V> Wrap<'_, V> {
    /// Text where it is to be a number, or where it is the name of a field.
    fn text<'de, E: Error>(self, text: &str, otherwise: impl FnOnce(V) -> Result<V::Value, E>) -> Result<V::Value, E>
    where
        V: Visitor<'de>,
    {
        match self.expect {
            Expect::Integer => integer(self.visitor, text).unwrap_or_else(otherwise),
            Expect::Float => match f64::of_text(text) {
                Some(number) => self.visitor.visit_f64(number),
                None => otherwise(self.visitor),
            },
            Expect::Anything if is_canonical(text) => {
                self.state.met_such_text.set(true);
                if self.state.texts_are_numbers {
                    integer(self.visitor, text).unwrap_or_else(otherwise)
                } else {
                    otherwise(self.visitor)
                }
            }
            Expect::Name if self.state.strict => {
                text.clone_into(&mut self.state.field.borrow_mut());
                otherwise(self.visitor)
            }
            _ => otherwise(self.visitor),
        }
    }
}

/// Gives text to the visitor as an integer; the visitor back, if it is none.
fn integer<'de, V: Visitor<'de>, E: Error>(visitor: V, text: &str) -> Result<Result<V::Value, E>, V> {
    if let Some(number) = i64::of_text(text) {
        Ok(visitor.visit_i64(number))
    } else if let Some(number) = u64::of_text(text) {
        Ok(visitor.visit_u64(number))
    } else if let Some(number) = i128::of_text(text) {
        Ok(visitor.visit_i128(number))
    } else if let Some(number) = u128::of_text(text) {
        Ok(visitor.visit_u128(number))
    } else {
        Err(visitor)
    }
}

/// Tells whether this is how an integer of 64 bits is written: no sign too many, no zero in front.
fn is_canonical(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits == "0" && digits.len() == text.len() || !digits.starts_with('0'))
        && !digits.is_empty()
        && digits.len() <= 20
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (i64::of_text(text).is_some() || u64::of_text(text).is_some())
}

macro_rules! visit {
    ($($method:ident: $type:ty;)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrap<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i64: i64;
        visit_i128: i128;
        visit_u64: u64;
        visit_u128: u128;
        visit_char: char;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        match i64::of_float(value) {
            Some(whole) if self.expect == Expect::Integer => self.visitor.visit_i64(whole),
            _ => self.visitor.visit_f64(value),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        self.text(text, |visitor| visitor.visit_str(text))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<V::Value, E> {
        self.text(text, |visitor| visitor.visit_borrowed_str(text))
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Reader::new(deserializer, self.state))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Reader::new(deserializer, self.state))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Access { inner: access, state: self.state })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<V::Value, A::Error> {
        if matches!(self.expect, Expect::Integer | Expect::Float) {
            return match super::number::arbitrary_precision(&mut access)? {
                Some(text) => self.visit_str(&text),
                None => Err(A::Error::invalid_type(Unexpected::Map, &self)),
            };
        }
        self.visitor.visit_map(Access { inner: access, state: self.state })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Access { inner: access, state: self.state })
    }
}

/// What is inside an array, an object or a variant, read by a [`Reader`] again.
struct Access<'s, A> {
    inner: A,
    state: &'s State,
}

struct Seed<'s, T> {
    seed: T,
    state: &'s State,
    is_key: bool,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.seed.deserialize(Reader { inner: deserializer, state: self.state, is_key: self.is_key })
    }
}

impl<'s, A> Access<'s, A> {
    fn seed<T>(&self, seed: T, is_key: bool) -> Seed<'s, T> {
        Seed { seed, state: self.state, is_key }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let seed = self.seed(seed, false);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let seed = self.seed(seed, true);
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.seed(seed, false);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 's, A: EnumAccess<'de>> EnumAccess<'de> for Access<'s, A> {
    type Error = A::Error;
    type Variant = Access<'s, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let seed = self.seed(seed, true);
        let state = self.state;
        let (name, inner) = self.inner.variant_seed(seed)?;
        Ok((name, Access { inner, state }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.seed(seed, false);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Wrap { visitor, state: self.state, expect: Expect::Other })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Wrap { visitor, state: self.state, expect: Expect::Other })
    }
}
