use heck::ToUpperCamelCase;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, ItemImpl, Type};

use crate::methods::{self, last_segment, name_of};
use crate::options::Options;

const SHAPE: &str = "`async fn name(&self, ctx: Context, request: Q) -> Result<R>`, or with a `Receiver<Q>` for the \
                     request, a `Sender<R>` behind it, or both";

/// Keeps the `impl`, and adds `Endpoints`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut options = Options::new();
    syn::meta::parser(|meta| options.read(&meta, true)).parse2(arguments)?;
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), format!("#[handler] stands on `impl Type {{ … }}`, not on the type: {error}"))
    })?;
    let (codegen, ty) = (&options.codegen, item.self_ty.clone());
    let service = options.name.unwrap_or_else(|| name_of(&ty));
    if service.is_empty() || service.contains(['.', '/']) {
        return Err(Error::new(
            ty.span(),
            format!("{service:?} is no name for a handler: no dot, no slash, not empty"),
        ));
    }
    let mut endpoints = Vec::new();
    for method in methods::of(&mut item, "handler", SHAPE)? {
        let name = format!("{service}.{}", method.name.to_string().to_upper_camel_case());
        let is =
            |ty: &Type, word: &str| last_segment(ty).is_some_and(|(name, inside)| name == word && inside.len() == 1);
        let (request, responses) = match method.arguments.as_slice() {
            [request] => (request, None),
            [request, responses] if is(responses, "Sender") => (request, Some(responses)),
            _ => return Err(Error::new(method.name.span(), format!("no shape of a call: {SHAPE}"))),
        };
        let constructor = match (is(request, "Receiver"), responses.is_some()) {
            (false, false) => quote!(unary),
            (false, true) => quote!(server_stream),
            (true, false) => quote!(client_stream),
            (true, true) => quote!(stream),
        };
        let (parameter, argument) = match responses {
            Some(responses) => (quote!(, responses: #responses), quote!(, responses)),
            None => (quote!(), quote!()),
        };
        let function = &method.name;
        endpoints.push(quote_spanned! {request.span()=> {
            let this = ::std::sync::Arc::clone(&this);
            #codegen::Endpoint::#constructor(#name, move |ctx: #codegen::core::Context, request: #request #parameter| {
                let this = ::std::sync::Arc::clone(&this);
                async move { Self::#function(&this, ctx, request #argument).await }
            })
        }});
    }
    let (generics, _, condition) = item.generics.split_for_impl();
    Ok(quote! {
        #item

        impl #generics #codegen::Endpoints for #ty #condition {
            fn endpoints(self) -> ::std::vec::Vec<#codegen::Endpoint> {
                let this = ::std::sync::Arc::new(self);
                ::std::vec![#(#endpoints),*]
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: TokenStream, item: TokenStream) -> String {
        expand(arguments, item).unwrap().to_string().replace(' ', "")
    }

    #[test]
    fn each_shape_is_its_kind_of_endpoint() {
        let code = code(
            quote!(),
            quote! { impl Greeter {
                async fn say_hello(&self, ctx: Context, request: Q) -> Result<R> { x }
                async fn count(&self, ctx: Context, request: Q, out: Sender<R>) -> Result<()> { x }
                async fn sum(&self, ctx: Context, requests: micro::Receiver<Q>) -> Result<R> { x }
                async fn chat(&self, ctx: Context, requests: Receiver<Q>, out: Sender<R>) -> Result<()> { x }
                fn name(&self) -> String { x }
            } },
        );
        assert!(code.contains("Endpoint::unary(\"Greeter.SayHello\""));
        assert!(code.contains("Endpoint::server_stream(\"Greeter.Count\""));
        assert!(code.contains("Endpoint::client_stream(\"Greeter.Sum\""));
        assert!(code.contains("Endpoint::stream(\"Greeter.Chat\""));
        assert!(!code.contains("Greeter.Name"));
    }

    #[test]
    fn a_name_can_be_given_and_has_no_dot() {
        let item = quote! { impl G { async fn a(&self, ctx: Context, request: Q) -> Result<R> { x } } };
        assert!(code(quote!(name = "Hello"), item.clone()).contains("\"Hello.A\""));
        let error = expand(quote!(name = "a.B"), item).unwrap_err();
        assert_eq!(error.to_string(), "\"a.B\" is no name for a handler: no dot, no slash, not empty");
    }

    #[test]
    fn a_call_with_two_requests_is_refused() {
        let item = quote! { impl G { async fn a(&self, ctx: Context, a: A, b: B) -> Result<R> { x } } };
        assert!(expand(quote!(), item).unwrap_err().to_string().starts_with("no shape of a call"));
    }
}
