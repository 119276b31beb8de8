//! Rust's names for those of a .proto: exactly those that prost chooses, since both are compiled together.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Returns a name of a field, module or method.
pub(crate) fn snake(name: &str) -> String {
    identifier(&name.to_snake_case())
}

/// Returns a name of a type or variant.
pub(crate) fn camel(name: &str) -> String {
    identifier(&name.to_upper_camel_case())
}

fn identifier(name: &str) -> String {
    const KEYWORDS: [&str; 47] = [
        "as", "break", "const", "continue", "else", "enum", "false", "fn", "for", "if", "impl", "in", "let", "loop",
        "match", "mod", "move", "mut", "pub", "ref", "return", "static", "struct", "trait", "true", "type", "unsafe",
        "use", "where", "while", "dyn", "abstract", "become", "box", "do", "final", "macro", "override", "priv",
        "typeof", "unsized", "virtual", "yield", "async", "await", "try", "gen",
    ];
    match name {
        "_" | "super" | "self" | "Self" | "extern" | "crate" => format!("{name}_"),
        _ if KEYWORDS.contains(&name) => format!("r#{name}"),
        _ if name.starts_with(|c: char| c.is_numeric()) => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// Returns the Rust method for an rpc: those that a client or `Clone` has already get an underscore.
pub(crate) fn method(rpc: &str) -> String {
    let name = snake(rpc);
    if matches!(name.as_str(), "new" | "clone") { format!("{name}_") } else { name }
}

/// Finds types in the Rust module of a package.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    pub(crate) package: &'a str,
    /// Proto paths with a dot in front, and the Rust paths that they are at.
    pub(crate) extern_paths: &'a [(String, String)],
}

impl Resolver<'_> {
    /// Returns the Rust path of a type by its full name (`.shop.Order.Item`).
    pub(crate) fn path(&self, full_name: &str) -> String {
        if let Some(path) = self.extern_path(full_name) {
            return path;
        }
        let mut here = self.package.split('.').filter(|part| !part.is_empty()).peekable();
        let mut there: Vec<&str> = full_name[1..].split('.').collect();
        let name = there.pop().unwrap_or_default();
        let mut there = there.into_iter().peekable();
        while here.peek().is_some() && here.peek() == there.peek() {
            here.next();
            there.next();
        }
        let mut path: Vec<String> = here.map(|_| "super".to_owned()).collect();
        path.extend(there.map(snake));
        path.push(camel(name));
        path.join("::")
    }

    /// Returns the path of a type that lives elsewhere.
    pub(crate) fn extern_path(&self, full_name: &str) -> Option<String> {
        let found = |proto: &str| self.extern_paths.iter().find(|(known, _)| known == proto).map(|(_, rust)| rust);
        if let Some(rust) = found(full_name) {
            return Some(rust.clone());
        }
        full_name.rmatch_indices('.').find_map(|(dot, _)| {
            let rust = found(&full_name[..dot])?;
            let mut rest: Vec<&str> = full_name[dot + 1..].split('.').collect();
            let name = rest.pop()?;
            let modules: String = rest.iter().map(|module| format!("{}::", snake(module))).collect();
            Some(format!("{rust}::{modules}{}", camel(name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_from_the_module_of_another_package() {
        let extern_paths = [(".google.protobuf".to_owned(), "::wk".to_owned())];
        let resolver = Resolver { package: "shop.v1", extern_paths: &extern_paths };
        assert_eq!(resolver.path(".shop.v1.Order"), "Order");
        assert_eq!(resolver.path(".shop.v1.Order.LineItem"), "order::LineItem");
        assert_eq!(resolver.path(".shop.common.Money"), "super::common::Money");
        assert_eq!(resolver.path(".Root"), "super::super::Root");
        assert_eq!(resolver.path(".google.protobuf.Timestamp"), "::wk::Timestamp");
    }

    #[test]
    fn names_that_rust_keeps_are_escaped() {
        assert_eq!((snake("Type").as_str(), snake("self").as_str()), ("r#type", "self_"));
        assert_eq!((method("New").as_str(), method("GetURL").as_str()), ("new_", "get_url"));
        assert_eq!(camel("self"), "Self_");
    }
}
