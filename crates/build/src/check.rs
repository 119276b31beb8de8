//! What a .proto may say and Rust may not: found before code is made, with the place.

use std::collections::BTreeMap;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::names::{Resolver, camel};
use crate::{Error, comments};

/// The messages and enums of `google.protobuf` that `micro_core::codec::well_known` has.
const WELL_KNOWN: [&str; 18] = [
    "Any",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "Duration",
    "Empty",
    "FieldMask",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "ListValue",
    "NullValue",
    "StringValue",
    "Struct",
    "Timestamp",
    "UInt32Value",
    "UInt64Value",
    "Value",
];

/// Refuses what would be no Rust.
pub(crate) fn check(file: &FileDescriptorProto, extern_paths: &[(String, String)]) -> Result<(), Error> {
    let check = Check { file, resolver: Resolver { package: file.package(), extern_paths } };
    for (i, message) in file.message_type.iter().enumerate() {
        check.message(message, &[4, i as i32])?;
    }
    for (i, enumeration) in file.enum_type.iter().enumerate() {
        check.enumeration(enumeration, &[5, i as i32])?;
    }
    for (i, service) in file.service.iter().enumerate() {
        for (k, method) in service.method.iter().enumerate() {
            for name in [method.input_type(), method.output_type()] {
                check.type_name(name, &[6, i as i32, 2, k as i32])?;
            }
        }
    }
    Ok(())
}

struct Check<'a> {
    file: &'a FileDescriptorProto,
    resolver: Resolver<'a>,
}

impl Check<'_> {
    /// `path` leads to the item, as descriptors count: number of the list, place in it.
    fn error(&self, path: &[i32], text: &str) -> Error {
        Error::new(format!("{}: {text}", comments::place(self.file, path)))
    }

    fn message(&self, message: &DescriptorProto, path: &[i32]) -> Result<(), Error> {
        let inside = |list: i32, i: usize| [path, &[list, i as i32]].concat();
        for (i, field) in message.field.iter().enumerate() {
            self.type_name(field.type_name(), &inside(2, i))?;
        }
        for (i, nested) in message.nested_type.iter().enumerate() {
            self.message(nested, &inside(3, i))?;
        }
        for (i, nested) in message.enum_type.iter().enumerate() {
            self.enumeration(nested, &inside(4, i))?;
        }
        Ok(())
    }

    fn type_name(&self, name: &str, path: &[i32]) -> Result<(), Error> {
        let Some(short) = name.strip_prefix(".google.protobuf.") else { return Ok(()) };
        let given = |(proto, _): &(String, String)| proto != ".google.protobuf" && name.starts_with(proto.as_str());
        if WELL_KNOWN.contains(&short) || self.resolver.extern_paths.iter().any(given) {
            return Ok(());
        }
        let known = WELL_KNOWN.join(", ");
        let text = format!("google.protobuf.{short} is not among the types that micro-rs has: {known}");
        Err(self.error(path, &format!("{text}; write a message of your own, or name a Rust type by `extern_path`")))
    }

    fn enumeration(&self, enumeration: &EnumDescriptorProto, path: &[i32]) -> Result<(), Error> {
        let mut variants: BTreeMap<String, (&str, i32)> = BTreeMap::new();
        for (i, value) in enumeration.value.iter().enumerate() {
            let variant = variant(&camel(enumeration.name()), value.name());
            match variants.insert(variant.clone(), (value.name(), value.number())) {
                Some((other, number)) if number != value.number() => {
                    let text = format!(
                        "{other} and {} of enum {} both become `{variant}` in Rust; rename one",
                        value.name(),
                        enumeration.name()
                    );
                    return Err(self.error(&[path, &[2, i as i32]].concat(), &text));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// prost's name for a value of an enum: without the enum's own name in front.
fn variant(enumeration: &str, value: &str) -> String {
    let name = camel(value);
    match name.strip_prefix(enumeration) {
        Some(rest) if rest.starts_with(char::is_uppercase) => rest.to_owned(),
        _ => name,
    }
}
