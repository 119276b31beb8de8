use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, Unexpected, Visitor};

/// A number that stands in JSON as a number or as text: `5`, `"5"`, `5.0`, `"NaN"`.
pub(super) trait Number: Sized {
    /// What an error says was expected.
    const EXPECTING: &'static str;

    fn of_signed(value: i128) -> Option<Self>;
    fn of_unsigned(value: u128) -> Option<Self>;
    fn of_float(value: f64) -> Option<Self>;
    fn of_text(text: &str) -> Option<Self>;
}

macro_rules! integer {
    ($($type:ty: $expecting:literal),* $(,)?) => {$(
        impl Number for $type {
            const EXPECTING: &'static str = $expecting;

            fn of_signed(value: i128) -> Option<Self> {
                value.try_into().ok()
            }

            fn of_unsigned(value: u128) -> Option<Self> {
                value.try_into().ok()
            }

            fn of_float(value: f64) -> Option<Self> {
                // Beyond 2^64 a float names no one integer, and the cast below would saturate.
                (value.fract() == 0.0 && value.abs() <= 18_446_744_073_709_551_616.0)
                    .then(|| Self::of_signed(value as i128))
                    .flatten()
            }

            fn of_text(text: &str) -> Option<Self> {
                match text.parse() {
                    Ok(value) => Some(value),
                    Err(_) if text.contains(['.', 'e', 'E']) => Self::of_float(f64::of_text(text)?),
                    Err(_) => None,
                }
            }
        }
    )*};
}

integer!(
    i8: "an integer of 8 bits, as a number or as text",
    i16: "an integer of 16 bits, as a number or as text",
    i32: "an integer of 32 bits, as a number or as text",
    i64: "an integer of 64 bits, as a number or as text",
    i128: "an integer of 128 bits, as a number or as text",
    u8: "an unsigned integer of 8 bits, as a number or as text",
    u16: "an unsigned integer of 16 bits, as a number or as text",
    u32: "an unsigned integer of 32 bits, as a number or as text",
    u64: "an unsigned integer of 64 bits, as a number or as text",
    u128: "an unsigned integer of 128 bits, as a number or as text",
);

impl Number for f64 {
    const EXPECTING: &'static str = "a number, as a number or as text";

    fn of_signed(value: i128) -> Option<Self> {
        Some(value as Self)
    }

    fn of_unsigned(value: u128) -> Option<Self> {
        Some(value as Self)
    }

    fn of_float(value: f64) -> Option<Self> {
        Some(value)
    }

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "NaN" => Some(Self::NAN),
            "Infinity" => Some(Self::INFINITY),
            "-Infinity" => Some(Self::NEG_INFINITY),
            // Rust alone would take `inf` and `nan` in any case.
            _ if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) => {
                text.parse().ok().filter(|value: &Self| value.is_finite())
            }
            _ => None,
        }
    }
}

impl Number for f32 {
    const EXPECTING: &'static str = f64::EXPECTING;

    fn of_signed(value: i128) -> Option<Self> {
        Some(value as Self)
    }

    fn of_unsigned(value: u128) -> Option<Self> {
        Some(value as Self)
    }

    fn of_float(value: f64) -> Option<Self> {
        let narrow = value as Self;
        (narrow.is_finite() || !value.is_finite()).then_some(narrow)
    }

    fn of_text(text: &str) -> Option<Self> {
        Self::of_float(f64::of_text(text)?)
    }
}

/// Writes what JSON has no number for, as protobuf's JSON does.
pub(super) fn name_of_float(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_finite() => None,
        _ if value.is_nan() => Some("NaN"),
        _ if value > 0.0 => Some("Infinity"),
        _ => Some("-Infinity"),
    }
}

/// Reads a [`Number`] out of whatever stands there.
pub(super) struct NumberVisitor<N>(PhantomData<N>);

impl<N> NumberVisitor<N> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, N: Number> Visitor<'de> for NumberVisitor<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(N::EXPECTING)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<N, E> {
        self.visit_i128(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<N, E> {
        N::of_signed(value).ok_or_else(|| E::custom(format_args!("{value} is not {}", N::EXPECTING)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<N, E> {
        self.visit_u128(value.into())
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<N, E> {
        N::of_unsigned(value).ok_or_else(|| E::custom(format_args!("{value} is not {}", N::EXPECTING)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<N, E> {
        N::of_float(value).ok_or_else(|| E::custom(format_args!("{value} is not {}", N::EXPECTING)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        N::of_text(text).ok_or_else(|| E::custom(format_args!("{text:?} is not {}", N::EXPECTING)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<N, A::Error> {
        match arbitrary_precision(&mut values)? {
            Some(text) => self.visit_str(&text),
            None => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

/// Reads a number as `serde_json` hands it on when some crate of the program turns its `arbitrary_precision` on.
pub(super) fn arbitrary_precision<'de, A: MapAccess<'de>>(values: &mut A) -> Result<Option<String>, A::Error> {
    match values.next_key::<String>()? {
        Some(name) if name == "$serde_json::private::Number" => values.next_value().map(Some),
        _ => Ok(None),
    }
}
