//! Go's words for Rust's types, as the registry has them.

use syn::Type;

use crate::methods::last_segment;

/// What a type is in a description.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    /// A word, with nothing inside.
    Plain(String),
    /// A type of the user's own, with what stands in front of its name: `[]`.
    Own(String, &'a Type),
}

/// Finds the word for a type. Types are known by their names: a macro does not see what they are.
pub(crate) fn of(ty: &Type) -> Word<'_> {
    let plain = |word: &str| Word::Plain(word.to_owned());
    if let Type::Array(array) = ty {
        return list(&array.elem);
    }
    let Some((name, inside)) = last_segment(ty) else { return plain("") };
    match (name.as_str(), inside.as_slice()) {
        ("String" | "char" | "Cow" | "PathBuf" | "Uuid", _) => plain("string"),
        ("Box" | "Arc" | "Rc", [Type::Path(path)]) if path.path.is_ident("str") => plain("string"),
        ("Option" | "Box" | "Arc" | "Rc", [inner]) => of(inner),
        ("Vec" | "VecDeque" | "HashSet" | "BTreeSet", [inner, ..]) => list(inner),
        ("HashMap" | "BTreeMap" | "Map" | "Value", _) => plain(""),
        ("bool", _) => plain("bool"),
        ("f32", _) => plain("float32"),
        ("f64", _) => plain("float64"),
        ("i8" | "i16" | "i32" | "i64", _) => plain(&name.replace('i', "int")),
        ("u8" | "u16" | "u32" | "u64", _) => plain(&name.replace('u', "uint")),
        ("isize" | "i128", _) => plain("int64"),
        ("usize" | "u128", _) => plain("uint64"),
        _ => Word::Own(String::new(), ty),
    }
}

fn list(inner: &Type) -> Word<'_> {
    match of(inner) {
        Word::Plain(word) => Word::Plain(format!("[]{word}")),
        Word::Own(prefix, ty) => Word::Own(format!("[]{prefix}"), ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_gos_words() {
        for (ty, word) in [
            ("String", "string"),
            ("Option<std::string::String>", "string"),
            ("i64", "int64"),
            ("u16", "uint16"),
            ("Vec<f32>", "[]float32"),
            ("[u8; 4]", "[]uint8"),
            ("Option<Vec<Box<str>>>", "[]string"),
            ("HashMap<String, i64>", ""),
            ("(u8, u8)", ""),
        ] {
            assert_eq!(of(&syn::parse_str(ty).unwrap()), Word::Plain(word.to_owned()), "{ty}");
        }
        let ty = syn::parse_str("Vec<crate::Item>").unwrap();
        let Word::Own(prefix, item) = of(&ty) else { panic!("a type of the user's own") };
        assert_eq!((prefix.as_str(), item), ("[]", &syn::parse_str("crate::Item").unwrap()));
    }
}
