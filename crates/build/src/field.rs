//! One field: its form in JSON, its word in a description, and how it stands in the Rust type.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::names::{Resolver, camel, snake};

/// How a field stands in the Rust type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value itself; also lists and maps.
    Always,
    /// `Option<T>`.
    Optional,
    /// A variant of the oneof with this index.
    Member(usize),
}

pub(crate) fn place(field: &FieldDescriptorProto, proto2: bool) -> Place {
    if field.proto3_optional() {
        return Place::Optional;
    }
    if let Some(oneof) = field.oneof_index {
        return Place::Member(usize::try_from(oneof).unwrap_or_default());
    }
    let optional = field.label() == Label::Optional && (proto2 || field.r#type() == Type::Message);
    if optional { Place::Optional } else { Place::Always }
}

/// Returns the Rust type of a message's oneof, as `order::Choice`.
pub(crate) fn oneof_path(message: &DescriptorProto, message_path: &str, oneof: &str) -> String {
    let name = camel(oneof);
    let mut nested = message.nested_type.iter().map(|nested| nested.name());
    let conflict =
        nested.any(|other| camel(other) == name) || message.enum_type.iter().any(|nested| camel(nested.name()) == name);
    let suffix = if conflict { "OneOf" } else { "" };
    let (modules, _) = message_path.rsplit_once("::").map_or(("", message_path), |(modules, name)| (modules, name));
    let separator = if modules.is_empty() { "" } else { "::" };
    format!("{modules}{separator}{}::{name}{suffix}", snake(message.name()))
}

/// Returns the entry message of a map field.
pub(crate) fn map_entry<'a>(
    message: &'a DescriptorProto,
    full_name: &str,
    field: &FieldDescriptorProto,
) -> Option<&'a DescriptorProto> {
    message.nested_type.iter().find(|entry| {
        entry.options.as_ref().is_some_and(|options| options.map_entry())
            && field.type_name().strip_prefix(full_name).and_then(|rest| rest.strip_prefix('.')) == Some(entry.name())
    })
}

/// Returns the form of a field: a type of `micro_core::codec::json::message`.
pub(crate) fn form(
    resolver: &Resolver<'_>,
    message: &DescriptorProto,
    full_name: &str,
    field: &FieldDescriptorProto,
) -> String {
    if let Some(entry) = map_entry(message, full_name, field) {
        let part = |number| entry.field.iter().find(|part| part.number() == number);
        let part = |number| part(number).map_or_else(String::new, |part| single_form(resolver, part));
        return format!("__json::Map<{}, {}>", part(1), part(2));
    }
    let single = single_form(resolver, field);
    if field.label() == Label::Repeated { format!("__json::Repeated<{single}>") } else { single }
}

fn single_form(resolver: &Resolver<'_>, field: &FieldDescriptorProto) -> String {
    match (field.r#type(), field.type_name()) {
        (Type::String | Type::Bool | Type::Group, _) => "__json::Plain".to_owned(),
        (Type::Message, ".google.protobuf.Value") => "__json::Anything".to_owned(),
        (Type::Message, _) => "__json::Plain".to_owned(),
        (Type::Bytes, _) => "__json::Base64".to_owned(),
        (Type::Enum, ".google.protobuf.NullValue") => "__json::Null".to_owned(),
        (Type::Enum, name) => format!("__json::Enum<{}>", resolver.path(name)),
        _ => "__json::Number".to_owned(),
    }
}

/// Returns an expression that describes a field in Go's words.
pub(crate) fn description(
    resolver: &Resolver<'_>,
    message: &DescriptorProto,
    full_name: &str,
    field: &FieldDescriptorProto,
) -> String {
    let name = field.name();
    if map_entry(message, full_name, field).is_some() {
        return format!("__Value::new({name:?}, \"\")");
    }
    let prefix = if field.label() == Label::Repeated { "[]" } else { "" };
    let word = match field.r#type() {
        Type::Message | Type::Group => {
            let path = resolver.path(field.type_name());
            return format!("__message::nested::<{path}>({name:?}, {prefix:?}, __depth)");
        }
        Type::Enum => go_name(resolver.package, field.type_name()),
        Type::String => "string".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Double => "float64".to_owned(),
        Type::Float => "float32".to_owned(),
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => "int64".to_owned(),
        Type::Uint64 | Type::Fixed64 => "uint64".to_owned(),
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => "int32".to_owned(),
        Type::Uint32 | Type::Fixed32 => "uint32".to_owned(),
    };
    format!("__Value::new({name:?}, \"{prefix}{word}\")")
}

/// Returns the name that Go gives a type: `Outer_Inner`.
pub(crate) fn go_name(package: &str, full_name: &str) -> String {
    let name = &full_name[1..];
    match name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) {
        Some(local) if !package.is_empty() => local.replace('.', "_"),
        _ if package.is_empty() => name.replace('.', "_"),
        _ => name.rsplit('.').next().unwrap_or(name).to_owned(),
    }
}
