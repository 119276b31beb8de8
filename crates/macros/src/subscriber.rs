use heck::ToUpperCamelCase;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, ItemImpl};

use crate::methods;
use crate::options::Options;

const SHAPE: &str = "`async fn name(&self, ctx: Context, event: T) -> Result<()>`";

/// Keeps the `impl`, and adds `SubscriberMethods`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut options = Options::new();
    syn::meta::parser(|meta| options.read(&meta, false)).parse2(arguments)?;
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), format!("#[subscriber] stands on `impl Type {{ … }}`, not on the type: {error}"))
    })?;
    let codegen = &options.codegen;
    let mut entries = Vec::new();
    for method in methods::of(&mut item, "subscriber", SHAPE)? {
        let [event] = method.arguments.as_slice() else {
            return Err(Error::new(method.name.span(), format!("a subscriber's method takes one event: {SHAPE}")));
        };
        let (name, function) = (method.name.to_string().to_upper_camel_case(), &method.name);
        // At the event's type, so that a missing `Payload` is shown there.
        entries.push(quote_spanned! {event.span()=> {
            let this = ::std::sync::Arc::clone(&self);
            #codegen::event::Method::new::<#event, _>(#name, move |ctx: #codegen::core::Context, event: #event| {
                let this = ::std::sync::Arc::clone(&this);
                async move { Self::#function(&this, ctx, event).await }
            })
        }});
    }
    let (generics, _, condition) = item.generics.split_for_impl();
    let ty = &item.self_ty;
    Ok(quote! {
        #item

        impl #generics #codegen::event::SubscriberMethods for #ty #condition {
            fn methods(self: ::std::sync::Arc<Self>) -> ::std::vec::Vec<#codegen::event::Method> {
                ::std::vec![#(#entries),*]
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap_err().to_string()
    }

    #[test]
    fn an_impl_without_a_method_of_the_shape_is_refused_with_the_shape() {
        assert_eq!(
            error(quote! { impl Warehouse { fn new() -> Self { Self } } }),
            "no method of `Warehouse` has the shape that #[subscriber] looks for: \
             `async fn name(&self, ctx: Context, event: T) -> Result<()>`"
        );
    }

    #[test]
    fn a_method_that_would_hear_nothing_is_refused() {
        let not_async = quote! { impl W { fn ship(&self, ctx: Context, e: E) -> Result<()> { Ok(()) } } };
        assert!(error(not_async).starts_with("this method takes a `Context` but is not `async`; the shape is"));
        let mutable = quote! { impl W { async fn ship(&mut self, ctx: micro::Context, e: E) -> Result<()> { x } } };
        assert!(error(mutable).starts_with("calls come at the same time, so the method takes `&self`"));
        let nothing = quote! { impl W { async fn ship(&self, ctx: Context) -> Result<()> { x } } };
        assert!(error(nothing).contains("nothing to handle"));
        let two = quote! { impl W { async fn ship(&self, ctx: Context, a: A, b: B) -> Result<()> { x } } };
        assert!(error(two).starts_with("a subscriber's method takes one event"));
        let silent = quote! { impl W { async fn ship(&self, ctx: Context, a: A) { x } } };
        assert!(error(silent).contains("returns no `Result`"));
    }

    #[test]
    fn a_skipped_method_is_left_alone() {
        let item = quote! { impl W {
            async fn ship(&self, ctx: Context, event: Order) -> Result<()> { x }
            #[subscriber(skip)]
            fn log(&self, ctx: Context, event: Order) {}
        } };
        let code = expand(TokenStream::new(), item).unwrap().to_string();
        assert!(code.contains("\"Ship\"") && !code.contains("\"Log\"") && !code.contains("skip"));
    }

    #[test]
    fn on_the_type_itself_it_says_where_it_belongs() {
        assert!(error(quote! { struct W; }).starts_with("#[subscriber] stands on `impl Type { … }`"));
        let on_trait = error(quote! { impl Clone for W { fn clone(&self) -> Self { W } } });
        assert_eq!(on_trait, "#[subscriber] stands on the methods of a type itself, `impl W`");
    }

    #[test]
    fn an_unknown_option_is_named() {
        let item = quote! { impl W { async fn ship(&self, ctx: Context, event: Order) -> Result<()> { x } } };
        let error = expand(quote! { topic = "x" }, item).unwrap_err();
        assert_eq!(error.to_string(), "unknown option; known are `crate`");
    }
}
