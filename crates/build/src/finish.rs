use crate::Error;

/// Lays the code out for people, and takes it out of the reach of the lints of the crate that it becomes part of.
pub(crate) fn finish(code: &str, module: &str) -> Result<String, Error> {
    let mut file = syn::parse_file(code).map_err(|error| {
        Error::new(format!("the code made for package {module} is no Rust, a fault of ours: {error}"))
    })?;
    let allow: syn::Attribute = syn::parse_quote!(
        #[allow(
            missing_docs,
            missing_debug_implementations,
            unreachable_pub,
            unused,
            unused_qualifications,
            deprecated,
            clippy::all,
            clippy::pedantic,
            clippy::nursery,
            clippy::restriction,
            rustdoc::all
        )]
    );
    for item in &mut file.items {
        if let Some(attributes) = attributes(item) {
            attributes.push(allow.clone());
        }
    }
    Ok(format!(
        "// Written by micro-build from the .proto files of package {module}. Do not edit.\n{}",
        prettyplease::unparse(&file)
    ))
}

fn attributes(item: &mut syn::Item) -> Option<&mut Vec<syn::Attribute>> {
    Some(match item {
        syn::Item::Const(item) => &mut item.attrs,
        syn::Item::Enum(item) => &mut item.attrs,
        syn::Item::Impl(item) => &mut item.attrs,
        syn::Item::Mod(item) => &mut item.attrs,
        syn::Item::Struct(item) => &mut item.attrs,
        syn::Item::Trait(item) => &mut item.attrs,
        _ => return None,
    })
}
