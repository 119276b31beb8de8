use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use prost::Message;
use prost_build::Module;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::names::Resolver;
use crate::{Config, Error, check, comments, enumeration, finish, message, service};

/// The package whose types `micro_core` has.
const WELL_KNOWN: &str = "google.protobuf";

pub(crate) fn compile(config: &Config, files: &[&Path]) -> Result<(), Error> {
    let out_dir = match (&config.out_dir, std::env::var_os("OUT_DIR")) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => PathBuf::from(folder),
        (None, None) => {
            return Err(Error::new("OUT_DIR is not set: call this from build.rs, or set a folder by `out_dir`"));
        }
    };
    let includes = if config.includes.is_empty() { default_includes(files) } else { config.includes.clone() };
    for file in files {
        tell_cargo(file);
        if !file.exists() {
            return Err(Error::new(format!(
                "{} is not there; paths are relative to the crate's folder, {}",
                file.display(),
                std::env::current_dir().map_or_else(|_| "unknown".to_owned(), |folder| folder.display().to_string())
            )));
        }
    }
    let mut compiler = protox::Compiler::new(&includes)?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    for file in compiler.files().filter_map(|file| file.path()) {
        tell_cargo(file);
    }
    let mut set = compiler.file_descriptor_set();
    set.file.iter_mut().for_each(comments::tame);
    write(config, &set.file, &out_dir)
}

#[expect(clippy::print_stdout, reason = "cargo reads it there")]
fn tell_cargo(file: &Path) {
    println!("cargo:rerun-if-changed={}", file.display());
}

/// The top folder of each file's path, and the folder that it lies in.
fn default_includes(files: &[&Path]) -> Vec<PathBuf> {
    let mut includes = Vec::new();
    let mut add = |folder: PathBuf| {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        if !includes.contains(&folder) {
            includes.push(folder);
        }
    };
    for file in files {
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        if file.is_relative() {
            let mut top = PathBuf::new();
            for component in folder.components() {
                top.push(component);
                if matches!(component, Component::Normal(_)) {
                    break;
                }
            }
            add(top);
        }
        add(folder.to_owned());
    }
    includes
}

fn write(config: &Config, files: &[FileDescriptorProto], out_dir: &Path) -> Result<(), Error> {
    let mut extern_paths = config.extern_paths.clone();
    extern_paths.push((format!(".{WELL_KNOWN}"), format!("{}::core::codec::well_known", config.codegen)));
    for file in files.iter().filter(|file| file.package() != WELL_KNOWN) {
        check::check(file, &extern_paths)?;
    }
    let modules = modules(files);
    let mut code = messages(config, &extern_paths, files, &modules)?;
    let mut written = BTreeSet::new();
    for (module, members) in by_module(files, &modules) {
        let mut text = code.remove(&Module::from_parts(module.split('.'))).unwrap_or_default();
        for file in &members {
            implement(&mut text, config, &extern_paths, file)?;
        }
        if text.trim().is_empty() {
            continue;
        }
        let descriptor = format!("{module}.descriptor.bin");
        let _ = writeln!(
            text,
            "/// The encoded descriptors of this package and of what it imports.
             pub const FILE_DESCRIPTOR_SET: &[u8] = ::core::include_bytes!({descriptor:?});"
        );
        save(&out_dir.join(&descriptor), &with_imports(files, &members).encode_to_vec())?;
        let text = finish::finish(&text, &module)?;
        save(&out_dir.join(format!("{module}.rs")), text.as_bytes())?;
        written.insert(module);
    }
    save(&out_dir.join("micro_protos.rs"), tree(&written).as_bytes())
}

/// The messages and enums, by prost.
fn messages(
    config: &Config,
    extern_paths: &[(String, String)],
    files: &[FileDescriptorProto],
    modules: &[String],
) -> Result<std::collections::HashMap<Module, String>, Error> {
    let mut prost = prost_build::Config::new();
    prost.compile_well_known_types().prost_path(format!("{}::prost", config.codegen)).format(false);
    prost.btree_map(&config.btree_maps).bytes(&config.shared_bytes);
    for (proto, rust) in extern_paths {
        prost.extern_path(proto, rust);
    }
    for (path, attribute) in &config.type_attributes {
        prost.type_attribute(path, attribute);
    }
    for (path, attribute) in &config.field_attributes {
        prost.field_attribute(path, attribute);
    }
    let requests = files.iter().zip(modules);
    let requests = requests.map(|(file, module)| (Module::from_parts(module.split('.')), file.clone())).collect();
    prost.generate(requests).map_err(|error| Error::new(error.to_string()))
}

/// Everything else that a file makes.
fn implement(
    text: &mut String,
    config: &Config,
    extern_paths: &[(String, String)],
    file: &FileDescriptorProto,
) -> Result<(), Error> {
    let resolver = Resolver { package: file.package(), extern_paths };
    let parent = if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
    let mut implementations = String::new();
    let written = file
        .message_type
        .iter()
        .try_for_each(|item| message::write(&mut implementations, &resolver, item, &parent, is_proto2(file)))
        .and_then(|()| {
            let mut enums = file.enum_type.iter();
            enums.try_for_each(|item| enumeration::write(&mut implementations, &resolver, item, &parent))
        });
    written.map_err(|_| Error::new("writing to memory failed"))?;
    if !implementations.is_empty() {
        let codegen = &config.codegen;
        // A block of its own: the short names in it meet nobody else's.
        let _ = write!(
            text,
            "const _: () = {{
                use {codegen}::{{bytes as __bytes, core as __core, serde as __serde}};
                use {codegen}::core::codec::{{json::message as __json, message as __message}};
                use {codegen}::core::registry::Value as __Value;
                {implementations}
            }};"
        );
    }
    for index in 0..file.service.len() {
        service::write(text, &resolver, &config.codegen, file, index)?;
    }
    Ok(())
}

fn is_proto2(file: &FileDescriptorProto) -> bool {
    matches!(file.syntax(), "" | "proto2")
}

/// What each file's code is called: its package; without one, the name of the first of the files that know each other.
fn modules(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut modules: Vec<String> = Vec::with_capacity(files.len());
    for (i, file) in files.iter().enumerate() {
        if !file.package().is_empty() {
            modules.push(file.package().to_owned());
            continue;
        }
        let stem = file.name().rsplit('/').next().unwrap_or_default().trim_end_matches(".proto").replace('.', "_");
        // Files come after what they import, so that what is imported is named already.
        let is_imported = |other: &usize| {
            files[*other].package().is_empty() && file.dependency.iter().any(|name| name == files[*other].name())
        };
        let joined: Vec<String> = (0..i).filter(is_imported).map(|other| modules[other].clone()).collect();
        for other in &mut modules {
            if joined.contains(other) {
                other.clone_from(&stem);
            }
        }
        modules.push(stem);
    }
    modules
}

fn by_module<'a>(
    files: &'a [FileDescriptorProto],
    modules: &[String],
) -> BTreeMap<String, Vec<&'a FileDescriptorProto>> {
    let mut by_module: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (file, module) in files.iter().zip(modules).filter(|(file, _)| file.package() != WELL_KNOWN) {
        by_module.entry(module.clone()).or_default().push(file);
    }
    by_module
}

/// The files with all that they import, each behind what it imports, without comments.
fn with_imports(files: &[FileDescriptorProto], members: &[&FileDescriptorProto]) -> FileDescriptorSet {
    let mut wanted: BTreeSet<&str> = members.iter().map(|file| file.name()).collect();
    for file in files.iter().rev() {
        if wanted.contains(file.name()) {
            wanted.extend(file.dependency.iter().map(String::as_str));
        }
    }
    let mut set = FileDescriptorSet::default();
    for file in files.iter().filter(|file| wanted.contains(file.name())) {
        set.file.push(FileDescriptorProto { source_code_info: None, ..file.clone() });
    }
    set
}

/// A file that includes every package in its place.
fn tree(modules: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for module in modules {
        let parts: Vec<&str> = module.split('.').collect();
        let common = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        text.push_str(&"}\n".repeat(open.len() - common));
        open.truncate(common);
        for &part in &parts[common..] {
            let _ = writeln!(
                text,
                "#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]\npub mod {} {{",
                crate::names::snake(part)
            );
            open.push(part);
        }
        let _ = writeln!(text, "include!({:?});", format!("{module}.rs"));
    }
    text.push_str(&"}\n".repeat(open.len()));
    // Laid out only: were it no Rust, rustc would say so.
    let laid_out = syn::parse_file(&text).map(|file| prettyplease::unparse(&file)).unwrap_or(text);
    format!("// @generated by micro-build: every package of the .proto files. Do not edit.\n{laid_out}")
}

/// Leaves a file alone whose content is right, so that nothing is built again for nothing.
fn save(path: &Path, content: &[u8]) -> Result<(), Error> {
    if std::fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    std::fs::write(path, content).map_err(|error| Error::io("write", path, &error))
}
