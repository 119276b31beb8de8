//! What an enum has beside prost's derive: its names and serde.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_types::EnumDescriptorProto;

use crate::names::Resolver;

/// Writes the implementations for an enum.
pub(crate) fn write(
    out: &mut String,
    resolver: &Resolver<'_>,
    enumeration: &EnumDescriptorProto,
    parent: &str,
) -> std::fmt::Result {
    let full_name = format!("{parent}.{}", enumeration.name());
    if resolver.extern_path(&full_name).is_some() {
        return Ok(());
    }
    let (path, name) = (resolver.path(&full_name), &full_name[1..]);
    writeln!(
        out,
        "impl __json::Names for {path} {{
            const NAME: &'static str = {name:?};
            fn name_of(__number: i32) -> ::core::option::Option<&'static str> {{
                ::core::option::Option::Some(match __number {{"
    )?;
    // The first name of a number is the one that is written; aliases are read.
    let mut numbers = BTreeSet::new();
    for value in enumeration.value.iter().filter(|value| numbers.insert(value.number())) {
        writeln!(out, "{} => {:?},", value.number(), value.name())?;
    }
    writeln!(
        out,
        "_ => return ::core::option::Option::None }}) }}
        fn number_of(__name: &str) -> ::core::option::Option<i32> {{
            ::core::option::Option::Some(match __name {{"
    )?;
    for value in &enumeration.value {
        writeln!(out, "{:?} => {},", value.name(), value.number())?;
    }
    writeln!(
        out,
        "_ => return ::core::option::Option::None }}) }} }}
        impl __serde::Serialize for {path} {{
            fn serialize<__S: __serde::Serializer>(&self, __serializer: __S)
                -> ::core::result::Result<__S::Ok, __S::Error> {{
                __json::write_enum::<Self, __S>(*self as i32, __serializer)
            }}
        }}
        impl<'de> __serde::Deserialize<'de> for {path} {{
            fn deserialize<__D: __serde::Deserializer<'de>>(__deserializer: __D)
                -> ::core::result::Result<Self, __D::Error> {{
                __json::read_enum::<Self, __D>(__deserializer)
            }}
        }}"
    )
}
