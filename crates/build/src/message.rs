//! What a message has beside prost's derive: serde, its shape, `Payload`.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_types::DescriptorProto;

use crate::enumeration;
use crate::field::{self, Place};
use crate::names::{Resolver, camel, snake};

/// Writes the implementations for a message and those nested in it.
pub(crate) fn write(
    out: &mut String,
    resolver: &Resolver<'_>,
    message: &DescriptorProto,
    parent: &str,
    proto2: bool,
) -> std::fmt::Result {
    let full_name = format!("{parent}.{}", message.name());
    if resolver.extern_path(&full_name).is_some() {
        return Ok(());
    }
    let path = resolver.path(&full_name);
    let message_of = Message { resolver, message, full_name: &full_name, path: &path, proto2 };
    message_of.write_serialize(out)?;
    message_of.write_deserialize(out)?;
    message_of.write_shape(out)?;
    write_payload(out, &path)?;
    for nested in &message.nested_type {
        if !nested.options.as_ref().is_some_and(|options| options.map_entry()) {
            write(out, resolver, nested, &full_name, proto2)?;
        }
    }
    for nested in &message.enum_type {
        enumeration::write(out, resolver, nested, &full_name)?;
    }
    Ok(())
}

struct Message<'a> {
    resolver: &'a Resolver<'a>,
    message: &'a DescriptorProto,
    full_name: &'a str,
    path: &'a str,
    proto2: bool,
}

impl Message<'_> {
    fn oneof(&self, index: usize) -> (&str, String) {
        let name = self.message.oneof_decl.get(index).map_or("", |oneof| oneof.name());
        (name, field::oneof_path(self.message, self.path, name))
    }

    fn form(&self, field: &prost_types::FieldDescriptorProto) -> String {
        field::form(self.resolver, self.message, self.full_name, field)
    }

    fn write_serialize(&self, out: &mut String) -> std::fmt::Result {
        let (path, name, count) = (self.path, &self.full_name[1..], self.message.field.len());
        writeln!(
            out,
            "impl __serde::Serialize for {path} {{
                fn serialize<__S: __serde::Serializer>(&self, __serializer: __S)
                    -> ::core::result::Result<__S::Ok, __S::Error> {{
                    let mut __out = __json::begin(__serializer, {name:?}, {count})?;"
        )?;
        let mut oneofs = BTreeSet::new();
        for field in &self.message.field {
            let (rust, name, form) = (snake(field.name()), field.name(), self.form(field));
            match field::place(field, self.proto2) {
                Place::Always => writeln!(out, "__json::field::<{form}, _, _>(&mut __out, {name:?}, &self.{rust})?;")?,
                Place::Optional => {
                    writeln!(out, "__json::optional::<{form}, _, _>(&mut __out, {name:?}, &self.{rust})?;")?;
                }
                Place::Member(index) if oneofs.insert(index) => self.write_oneof(out, index)?,
                Place::Member(_) => {}
            }
        }
        writeln!(out, "__serde::ser::SerializeStruct::end(__out) }} }}")
    }

    fn write_oneof(&self, out: &mut String, index: usize) -> std::fmt::Result {
        let (oneof, path) = self.oneof(index);
        writeln!(out, "match &self.{} {{", snake(oneof))?;
        for field in &self.message.field {
            if field::place(field, self.proto2) == Place::Member(index) {
                let (variant, name, form) = (camel(field.name()), field.name(), self.form(field));
                writeln!(
                    out,
                    "::core::option::Option::Some({path}::{variant}(__value)) =>
                        __json::field::<{form}, _, _>(&mut __out, {name:?}, __value)?,"
                )?;
            }
        }
        writeln!(out, "::core::option::Option::None => {{}} }}")
    }

    fn write_deserialize(&self, out: &mut String) -> std::fmt::Result {
        let (path, name) = (self.path, &self.full_name[1..]);
        let names: Vec<&str> = self.message.field.iter().map(|field| field.name()).collect();
        writeln!(
            out,
            "impl<'de> __serde::Deserialize<'de> for {path} {{
                fn deserialize<__D: __serde::Deserializer<'de>>(__deserializer: __D)
                    -> ::core::result::Result<Self, __D::Error> {{
                    __json::read(__deserializer)
                }}
            }}
            impl __json::Fields for {path} {{
                const NAME: &'static str = {name:?};
                const FIELDS: &'static [&'static str] = &{names:?};
                fn read_field<'de, __A: __serde::de::MapAccess<'de>>(&mut self, __name: &str, __values: &mut __A)
                    -> ::core::result::Result<bool, __A::Error> {{
                    match __name {{"
        )?;
        for field in &self.message.field {
            let (rust, form) = (snake(field.name()), self.form(field));
            let other = if field.json_name() == field.name() || field.json_name().is_empty() {
                String::new()
            } else {
                format!(" | {:?}", field.json_name())
            };
            write!(out, "{:?}{other} => ", field.name())?;
            match field::place(field, self.proto2) {
                Place::Always => writeln!(out, "__json::read_into::<{form}, _, _>(__values, &mut self.{rust})?,")?,
                Place::Optional => {
                    writeln!(out, "__json::read_optional::<{form}, _, _>(__values, &mut self.{rust})?,")?;
                }
                Place::Member(index) => {
                    let (oneof, path) = self.oneof(index);
                    writeln!(
                        out,
                        "__json::read_member::<{form}, _, _, _>(__values, {oneof:?}, &mut self.{}, {path}::{})?,",
                        snake(oneof),
                        camel(field.name())
                    )?;
                }
            }
        }
        writeln!(
            out,
            "_ => return ::core::result::Result::Ok(false) }}
             #[allow(unreachable_code)]
             ::core::result::Result::Ok(true) }} }}"
        )
    }

    fn write_shape(&self, out: &mut String) -> std::fmt::Result {
        let (path, name) = (self.path, field::go_name(self.resolver.package, self.full_name));
        writeln!(
            out,
            "impl __message::Shape for {path} {{
                const NAME: &'static str = {name:?};
                fn fields(__depth: usize) -> ::std::vec::Vec<__Value> {{ ::std::vec::Vec::from(["
        )?;
        for field in &self.message.field {
            writeln!(out, "{},", field::description(self.resolver, self.message, self.full_name, field))?;
        }
        writeln!(out, "]) }} }}")
    }
}

fn write_payload(out: &mut String, path: &str) -> std::fmt::Result {
    writeln!(
        out,
        "impl __core::codec::Payload for {path} {{
            const FORMATS: &'static [__core::codec::Format] = __message::FORMATS;
            fn encode(&self, __format: __core::codec::Format, __buffer: &mut __bytes::BytesMut) -> __core::Result<()> {{
                __message::encode(self, __format, __buffer)
            }}
            fn decode(__format: __core::codec::Format, __body: __bytes::Bytes) -> __core::Result<Self> {{
                __message::decode(__format, __body)
            }}
            fn size_hint(&self, __format: __core::codec::Format) -> usize {{
                __message::size_hint(self, __format)
            }}
            fn describe() -> __Value {{
                __message::describe::<Self>()
            }}
        }}"
    )
}
