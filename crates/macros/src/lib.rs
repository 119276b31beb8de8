//! The macros of micro-rs; users find them in the facade, `micro`.
//!
//! Code that they write names `::micro::codegen::…` only. A crate that does not use the facade gives another module with
//! the same content: `#[subscriber(crate = "crate::codegen")]`, `#[payload(crate = "crate::codegen")]`.

mod handler;
mod methods;
mod options;
mod payload;
mod subscriber;
mod words;

use proc_macro::TokenStream;

/// Makes a struct a subscriber: each of its methods receives every event of the topic.
///
/// A method has the shape `async fn name(&self, ctx: Context, event: T) -> Result<()>`, where `T` is a `Payload`. The
/// methods of one event run at the same time, and all have to succeed. Methods of another shape are left alone; so is
/// one that says `#[subscriber(skip)]`. A method that takes a `Context` and nearly has the shape is an error, because it
/// would hear nothing.
///
/// # Examples
///
/// ```ignore
/// struct Warehouse;
///
/// #[micro::subscriber]
/// impl Warehouse {
///     async fn ship(&self, ctx: Context, order: OrderCreated) -> Result<()> { … }
///     async fn count(&self, ctx: Context, order: OrderCreated) -> Result<()> { … }
/// }
///
/// service.subscribe(struct_subscriber("orders.created", Warehouse).queue("warehouse"));
/// ```
#[proc_macro_attribute]
pub fn subscriber(arguments: TokenStream, item: TokenStream) -> TokenStream {
    subscriber::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct a handler of calls, without a .proto: its methods become endpoints.
///
/// A method `async fn greet(&self, ctx: Context, request: Q) -> Result<R>` of `Greeter` becomes the endpoint
/// `Greeter.Greet`; `#[handler(name = "Hello")]` makes it `Hello.Greet`. `Q` and `R` are `Payload`s. Streams have the
/// shapes that a trait made from a .proto has: `(Q, Sender<R>) -> Result<()>`, `(Receiver<Q>) -> Result<R>`,
/// `(Receiver<Q>, Sender<R>) -> Result<()>`. Methods of another shape are left alone; so is one that says
/// `#[handler(skip)]`.
///
/// # Examples
///
/// ```ignore
/// struct Greeter;
///
/// #[micro::handler]
/// impl Greeter {
///     async fn greet(&self, ctx: Context, request: Request) -> Result<Response> { … }
/// }
///
/// service.handle(Greeter);
/// ```
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a serde type the body of calls and events, as JSON.
///
/// The type derives `serde::Serialize` and `serde::Deserialize` too. Its description in the registry has serde's names
/// (`rename`, `rename_all`, `skip`). In a type that is `untagged`, or tagged without `content`, 64-bit integers are
/// written as numbers; in all others as text.
///
/// # Examples
///
/// ```ignore
/// #[derive(serde::Serialize, serde::Deserialize, micro::Payload)]
/// struct OrderCreated {
///     id: u64,
///     item: String,
/// }
/// ```
#[proc_macro_derive(Payload, attributes(payload, serde))]
pub fn derive_payload(item: TokenStream) -> TokenStream {
    payload::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
