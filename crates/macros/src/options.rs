use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitStr, Path};

/// What stands in the brackets of an attribute.
pub(crate) struct Options {
    /// The module with everything that the code names.
    pub(crate) codegen: Path,
    /// The name that endpoints begin with.
    pub(crate) name: Option<String>,
}

impl Options {
    pub(crate) fn new() -> Self {
        Self { codegen: syn::parse_quote!(::micro::codegen), name: None }
    }

    /// Reads one `word = "value"`; `takes_name` is whether this attribute knows `name`.
    pub(crate) fn read(&mut self, meta: &ParseNestedMeta<'_>, takes_name: bool) -> syn::Result<()> {
        if meta.path.is_ident("crate") {
            self.codegen = meta.value()?.parse::<LitStr>()?.parse()?;
            Ok(())
        } else if takes_name && meta.path.is_ident("name") {
            self.name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else {
            let known = if takes_name { "`name` and `crate`" } else { "`crate`" };
            Err(meta.error(format!("unknown option; known are {known}")))
        }
    }
}

/// Takes `#[subscriber(skip)]` off a method, and tells whether it stood there.
pub(crate) fn take_skip(attributes: &mut Vec<Attribute>, attribute: &str) -> syn::Result<bool> {
    let Some(at) = attributes.iter().position(|a| a.path().is_ident(attribute)) else { return Ok(false) };
    attributes.remove(at).parse_nested_meta(|meta| {
        if meta.path.is_ident("skip") { Ok(()) } else { Err(meta.error("on a method only `skip` is known")) }
    })?;
    Ok(true)
}
