//! Which methods of an `impl` are meant.

use proc_macro2::Ident;
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericArgument, ImplItem, ImplItemFn, ItemImpl, PathArguments, ReturnType, Type};

use crate::options::take_skip;

/// A method `async fn name(&self, ctx: Context, …) -> …`.
pub(crate) struct Method {
    pub(crate) name: Ident,
    /// The types behind the context.
    pub(crate) arguments: Vec<Type>,
}

/// Takes the methods that begin with `&self` and a `Context`.
///
/// A method that takes a `Context` but could not be called is refused: it would be left out in silence.
pub(crate) fn of(item: &mut ItemImpl, attribute: &str, shape: &str) -> syn::Result<Vec<Method>> {
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new(
            path.span(),
            format!("#[{attribute}] stands on the methods of a type itself, `impl {}`", name_of(&item.self_ty)),
        ));
    }
    let mut methods = Vec::new();
    for item in &mut item.items {
        let ImplItem::Fn(function) = item else { continue };
        if !take_skip(&mut function.attrs, attribute)?
            && let Some(method) = of_function(function, attribute, shape)?
        {
            methods.push(method);
        }
    }
    if methods.is_empty() {
        return Err(Error::new(
            item.self_ty.span(),
            format!("no method of `{}` has the shape that #[{attribute}] looks for: {shape}", name_of(&item.self_ty)),
        ));
    }
    Ok(methods)
}

fn of_function(function: &ImplItemFn, attribute: &str, shape: &str) -> syn::Result<Option<Method>> {
    let signature = &function.sig;
    let mut arguments = signature.inputs.iter();
    let Some(FnArg::Receiver(receiver)) = arguments.next() else { return Ok(None) };
    let types: Vec<&Type> = arguments
        .filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(&*argument.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let Some((context, rest)) = types.split_first() else { return Ok(None) };
    if last_segment(context).is_none_or(|(name, _)| name != "Context") {
        return Ok(None);
    }
    let refuse = |span, why: &str| {
        let text = format!("{why}; the shape is {shape}. If it is not meant, say #[{attribute}(skip)] on it");
        Err(Error::new(span, text))
    };
    if signature.asyncness.is_none() {
        return refuse(signature.fn_token.span, "this method takes a `Context` but is not `async`");
    }
    if receiver.reference.is_none() || receiver.mutability.is_some() {
        return refuse(receiver.span(), "calls come at the same time, so the method takes `&self`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(signature.generics.span(), "a generic method has no one type to read from a message");
    }
    if matches!(signature.output, ReturnType::Default) {
        return refuse(signature.ident.span(), "this method takes a `Context` but returns no `Result`");
    }
    if rest.is_empty() {
        return refuse(signature.ident.span(), "this method takes a `Context` and nothing to handle");
    }
    Ok(Some(Method { name: signature.ident.clone(), arguments: rest.iter().map(|&ty| ty.clone()).collect() }))
}

/// Returns the last name of a path, with what stands in its angle brackets.
pub(crate) fn last_segment(ty: &Type) -> Option<(String, Vec<&Type>)> {
    let path = match ty {
        Type::Path(path) => path,
        Type::Group(group) => return last_segment(&group.elem),
        Type::Paren(paren) => return last_segment(&paren.elem),
        _ => return None,
    };
    let segment = path.path.segments.last()?;
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(brackets) => brackets
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((segment.ident.to_string().trim_start_matches("r#").to_owned(), arguments))
}

/// Returns the name of a type, for names and errors.
pub(crate) fn name_of(ty: &Type) -> String {
    last_segment(ty).map_or_else(|| "type".to_owned(), |(name, _)| name)
}
