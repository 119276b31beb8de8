//! The descriptor files, found by name and by what stands in them. Their bytes are handed out as they came, so that
//! options this crate does not know survive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use micro_core::{Error, Kind, Result};
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

#[derive(Default)]
pub(super) struct Files {
    files: HashMap<String, File>,
    /// Full names of services, methods, messages, fields, enums and values, with their file.
    symbols: HashMap<String, String>,
    extensions: BTreeMap<(String, i32), String>,
    services: BTreeSet<String>,
}

struct File {
    encoded: Bytes,
    imports: Vec<String>,
}

/// A `FileDescriptorSet` whose files stay bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

impl Files {
    pub(super) fn add_set(&mut self, set: &'static [u8]) -> Result<()> {
        let set = RawSet::decode(Bytes::from_static(set)).map_err(broken)?;
        set.file.into_iter().try_for_each(|file| self.add(file))
    }

    pub(super) fn add(&mut self, encoded: Bytes) -> Result<()> {
        let file = FileDescriptorProto::decode(encoded.clone()).map_err(broken)?;
        let name = file.name().to_owned();
        if self.files.contains_key(&name) {
            return Ok(());
        }
        let package = file.package();
        for service in &file.service {
            let service_name = join(package, service.name());
            for method in &service.method {
                self.symbols.insert(join(&service_name, method.name()), name.clone());
            }
            self.symbols.insert(service_name.clone(), name.clone());
            self.services.insert(service_name);
        }
        self.add_messages(package, &file.message_type, &name);
        self.add_enums(package, &file.enum_type, &name);
        self.add_extensions(package, &file.extension, &name);
        self.files.insert(name, File { encoded, imports: file.dependency });
        Ok(())
    }

    fn add_messages(&mut self, scope: &str, messages: &[DescriptorProto], file: &str) {
        for message in messages {
            let name = join(scope, message.name());
            for field in message
                .field
                .iter()
                .map(FieldDescriptorProto::name)
                .chain(message.oneof_decl.iter().map(|one| one.name()))
            {
                self.symbols.insert(join(&name, field), file.to_owned());
            }
            self.add_messages(&name, &message.nested_type, file);
            self.add_enums(&name, &message.enum_type, file);
            self.add_extensions(&name, &message.extension, file);
            self.symbols.insert(name, file.to_owned());
        }
    }

    fn add_enums(&mut self, scope: &str, enums: &[EnumDescriptorProto], file: &str) {
        for one in enums {
            // A value stands beside its enum, not in it.
            for value in &one.value {
                self.symbols.insert(join(scope, value.name()), file.to_owned());
            }
            self.symbols.insert(join(scope, one.name()), file.to_owned());
        }
    }

    fn add_extensions(&mut self, scope: &str, extensions: &[FieldDescriptorProto], file: &str) {
        for extension in extensions {
            let extended = extension.extendee().trim_start_matches('.').to_owned();
            self.extensions.insert((extended, extension.number()), file.to_owned());
            self.symbols.insert(join(scope, extension.name()), file.to_owned());
        }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    pub(super) fn by_symbol(&self, symbol: &str) -> Option<Vec<Bytes>> {
        self.by_name(self.symbols.get(symbol.trim_start_matches('.'))?)
    }

    pub(super) fn by_extension(&self, extended: &str, number: i32) -> Option<Vec<Bytes>> {
        self.by_name(self.extensions.get(&(extended.to_owned(), number))?)
    }

    pub(super) fn extension_numbers(&self, extended: &str) -> Vec<i32> {
        self.extensions.keys().filter(|(name, _)| name == extended).map(|(_, number)| *number).collect()
    }

    /// Returns a file and those it imports, itself first.
    pub(super) fn by_name(&self, name: &str) -> Option<Vec<Bytes>> {
        self.files.get(name)?;
        let (mut found, mut seen, mut todo) = (Vec::new(), BTreeSet::new(), vec![name]);
        while let Some(name) = todo.pop() {
            if let Some(file) = self.files.get(name)
                && seen.insert(name)
            {
                found.push(file.encoded.clone());
                todo.extend(file.imports.iter().map(String::as_str));
            }
        }
        Some(found)
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn broken(error: prost::DecodeError) -> Error {
    let text =
        "the descriptor of an endpoint is no FileDescriptorSet; build again with the micro-build of this version";
    Error::new(Kind::Config, text).source(error)
}
