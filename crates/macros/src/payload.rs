use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Fields, GenericParam, LitStr, Token};

use crate::options::Options;
use crate::words::{self, Word};

/// Writes `Payload` for a serde type.
pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    let mut options = Options::new();
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("payload")) {
        attribute.parse_nested_meta(|meta| options.read(&meta, false))?;
    }
    let serde = Serde::read(&item.attrs)?;
    let fields = match &item.data {
        Data::Struct(data) => describe(&data.fields, &serde, &options)?,
        Data::Enum(_) => Vec::new(),
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span, "a union cannot be read back; make it an enum"));
        }
    };
    let mut generics = item.generics.clone();
    for parameter in &mut generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) => {
                return Err(Error::new_spanned(
                    lifetime,
                    "a payload owns what it holds, since it outlives the body it was read from; use String and Vec",
                ));
            }
            GenericParam::Type(parameter) => {
                let codegen = &options.codegen;
                parameter.bounds.push(syn::parse_quote!(#codegen::serde::Serialize));
                parameter.bounds.push(syn::parse_quote!(#codegen::serde::de::DeserializeOwned));
                parameter.bounds.push(syn::parse_quote!(::core::marker::Send));
                parameter.bounds.push(syn::parse_quote!(::core::marker::Sync));
                parameter.bounds.push(syn::parse_quote!('static));
            }
            GenericParam::Const(_) => {}
        }
    }
    let (generics, _, condition) = generics.split_for_impl();
    let (_, arguments, _) = item.generics.split_for_impl();
    let (codegen, ident) = (&options.codegen, &item.ident);
    let name = serde.rename.clone().unwrap_or_else(|| ident.to_string().trim_start_matches("r#").to_owned());
    let encode = if serde.is_read_untyped() { quote!(encode_numbers) } else { quote!(encode) };
    Ok(quote! {
        #[automatically_derived]
        impl #generics #codegen::core::codec::Payload for #ident #arguments #condition {
            const FORMATS: &'static [#codegen::core::codec::Format] = &[#codegen::core::codec::Format::Json];

            fn encode(
                &self,
                format: #codegen::core::codec::Format,
                buffer: &mut #codegen::bytes::BytesMut,
            ) -> #codegen::core::Result<()> {
                match format {
                    #codegen::core::codec::Format::Json => #codegen::core::codec::json::#encode(self, buffer),
                    _ => ::core::result::Result::Err(#codegen::core::codec::no_such_format::<Self>(format)),
                }
            }

            fn decode(
                format: #codegen::core::codec::Format,
                body: #codegen::bytes::Bytes,
            ) -> #codegen::core::Result<Self> {
                match format {
                    #codegen::core::codec::Format::Json => #codegen::core::codec::json::decode(body),
                    _ => ::core::result::Result::Err(#codegen::core::codec::no_such_format::<Self>(format)),
                }
            }

            fn describe() -> #codegen::core::registry::Value {
                #[allow(unused_imports)]
                use #codegen::core::codec::message::NoFields as _;
                #codegen::core::registry::Value::new(#name, #name)
                    #(.field(#fields))*
            }
        }
    })
}

fn describe(fields: &Fields, serde: &Serde, options: &Options) -> syn::Result<Vec<TokenStream>> {
    let codegen = &options.codegen;
    let Fields::Named(fields) = fields else { return Ok(Vec::new()) };
    let mut described = Vec::new();
    for field in &fields.named {
        let of_field = Serde::read(&field.attrs)?;
        let Some(ident) = field.ident.as_ref().filter(|_| !of_field.skip && !of_field.flatten) else { continue };
        let rust = ident.to_string().trim_start_matches("r#").to_owned();
        let name = of_field.rename.unwrap_or_else(|| match &serde.rename_all {
            Some(rule) => recase(&rust, rule),
            None => rust,
        });
        described.push(match words::of(&field.ty) {
            Word::Plain(word) => quote!(#codegen::core::registry::Value::new(#name, #word)),
            Word::Own(prefix, ty) => {
                let word = format!("{prefix}{}", crate::methods::name_of(ty));
                quote!(#codegen::core::codec::message::Probe::<#ty>::new().field(#name, #word))
            }
        });
    }
    Ok(described)
}

/// Serde's rules for the names of fields, which it takes to be in snake_case.
fn recase(name: &str, rule: &str) -> String {
    let capitalized = || -> String {
        let words = name.split('_').map(|word| {
            let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            first.to_ascii_uppercase() + rest
        });
        words.collect()
    };
    match rule {
        "UPPERCASE" | "SCREAMING_SNAKE_CASE" => name.to_ascii_uppercase(),
        "PascalCase" => capitalized(),
        "camelCase" => {
            let name = capitalized();
            let (first, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
            first.to_ascii_lowercase() + rest
        }
        "kebab-case" => name.replace('_', "-"),
        "SCREAMING-KEBAB-CASE" => name.to_ascii_uppercase().replace('_', "-"),
        _ => name.to_owned(),
    }
}

/// What serde's attributes say that a description needs.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    skip: bool,
    flatten: bool,
    untagged: bool,
    tag: bool,
    content: bool,
}

impl Serde {
    fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut serde = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| serde.read_one(&meta))?;
        }
        Ok(serde)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match word.as_str() {
            "skip" | "skip_serializing" => self.skip = true,
            "flatten" => self.flatten = true,
            "untagged" => self.untagged = true,
            "tag" => self.tag = true,
            "content" => self.content = true,
            "rename" | "rename_all" => {
                let text = text_of(meta)?;
                *(if word == "rename" { &mut self.rename } else { &mut self.rename_all }) = text;
                return Ok(());
            }
            _ => {}
        }
        // Whatever else serde knows is serde's to judge.
        if meta.input.peek(Token![=]) {
            meta.value()?.parse::<Expr>()?;
        } else if meta.input.peek(syn::token::Paren) {
            meta.parse_nested_meta(|inner| Self::default().read_one(&inner))?;
        }
        Ok(())
    }

    /// Tells whether serde reads the type without knowing the types of its fields.
    fn is_read_untyped(&self) -> bool {
        self.untagged || (self.tag && !self.content)
    }
}

/// Reads `= "name"` or `(serialize = "name", …)`.
fn text_of(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse::<LitStr>()?.value()));
    }
    let mut text = None;
    meta.parse_nested_meta(|inner| {
        let value = inner.value()?.parse::<LitStr>()?.value();
        if inner.path.is_ident("serialize") {
            text = Some(value);
        }
        Ok(())
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_borrows_is_refused() {
        let error = expand(quote! { struct Order<'a> { id: &'a str } }).unwrap_err();
        assert!(error.to_string().starts_with("a payload owns what it holds"));
    }

    #[test]
    fn wide_integers_stay_numbers_where_serde_reads_without_types() {
        let encodes = |item| expand(item).unwrap().to_string().contains("encode_numbers");
        assert!(encodes(quote! { #[serde(untagged)] enum E { A(i64) } }));
        assert!(encodes(quote! { #[serde(tag = "type")] enum E { A { id: i64 } } }));
        assert!(!encodes(quote! { #[serde(tag = "t", content = "c")] enum E { A(i64) } }));
        assert!(!encodes(quote! { #[serde(rename_all = "camelCase", default)] struct S { id: i64 } }));
    }
}
