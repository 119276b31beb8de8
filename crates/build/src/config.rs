use std::path::{Path, PathBuf};

use crate::{Error, compile};

/// How .proto files are compiled; made by [`configure`](crate::configure), ended by [`compile`](Self::compile).
#[derive(Debug, Clone)]
#[must_use]
pub struct Config {
    pub(crate) includes: Vec<PathBuf>,
    pub(crate) out_dir: Option<PathBuf>,
    pub(crate) codegen: String,
    pub(crate) extern_paths: Vec<(String, String)>,
    pub(crate) type_attributes: Vec<(String, String)>,
    pub(crate) field_attributes: Vec<(String, String)>,
    pub(crate) btree_maps: Vec<String>,
    pub(crate) shared_bytes: Vec<String>,
}

impl Config {
    pub(crate) fn new() -> Self {
        Self {
            includes: Vec::new(),
            out_dir: None,
            codegen: "::micro::codegen".to_owned(),
            extern_paths: Vec::new(),
            type_attributes: Vec::new(),
            field_attributes: Vec::new(),
            btree_maps: Vec::new(),
            shared_bytes: Vec::new(),
        }
    }

    /// Adds a folder in which `import` looks. Without any, it looks in the top folder of each file's path and beside it:
    /// for `proto/shop/order.proto` in `proto` and in `proto/shop`.
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Self {
        self.includes.push(folder.into());
        self
    }

    /// Sets where the code is written, in place of `OUT_DIR`.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Sets the module that the code takes everything from, in place of `::micro::codegen`: `::micro_rpc::codegen` for a
    /// crate that does not use the facade.
    pub fn codegen(mut self, path: impl Into<String>) -> Self {
        self.codegen = path.into();
        self
    }

    /// Takes a package or type from elsewhere: `("shop.v1", "::shop_api::v1")`. Its code was made by this crate too.
    pub fn extern_path(mut self, proto: impl AsRef<str>, rust: impl Into<String>) -> Self {
        self.extern_paths.push((rooted(proto.as_ref()), rust.into()));
        self
    }

    /// Adds an attribute to a message, enum or oneof (`shop.Order`), to those of a package (`shop`), or to all (`.`).
    pub fn type_attribute(mut self, path: impl AsRef<str>, attribute: impl Into<String>) -> Self {
        self.type_attributes.push((rooted(path.as_ref()), attribute.into()));
        self
    }

    /// Adds an attribute to a field (`shop.Order.id`).
    pub fn field_attribute(mut self, path: impl AsRef<str>, attribute: impl Into<String>) -> Self {
        self.field_attributes.push((rooted(path.as_ref()), attribute.into()));
        self
    }

    /// Makes map fields a `BTreeMap`, in place of a `HashMap`: of a field, a message, a package, or all (`.`).
    pub fn btree_map(mut self, path: impl AsRef<str>) -> Self {
        self.btree_maps.push(rooted(path.as_ref()));
        self
    }

    /// Makes `bytes` fields a `bytes::Bytes`, in place of a `Vec<u8>`: reading does not copy then, and the value keeps
    /// the received body alive.
    pub fn shared_bytes(mut self, path: impl AsRef<str>) -> Self {
        self.shared_bytes.push(rooted(path.as_ref()));
        self
    }

    /// Compiles the files.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the column in the .proto, and what is wrong there.
    pub fn compile<P: AsRef<Path>>(&self, files: &[P]) -> Result<(), Error> {
        let files: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
        compile::compile(self, &files)
    }
}

/// prost wants a dot in front of a full name.
fn rooted(path: &str) -> String {
    if path.starts_with('.') { path.to_owned() } else { format!(".{path}") }
}
