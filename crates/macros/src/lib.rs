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
/// ```
/// # use micro_core::{Context, Result};
/// # use micro_event::struct_subscriber;
/// # use micro_macros::{Payload, subscriber};
/// # mod codegen { pub use {bytes, serde, micro_core as core, micro_event as event}; }
/// # #[derive(serde::Serialize, serde::Deserialize, Payload)]
/// # #[payload(crate = "crate::codegen")]
/// # struct OrderCreated { id: u64 }
/// struct Warehouse;
///
/// # /*
/// #[micro::subscriber]
/// # */
/// # #[subscriber(crate = "crate::codegen")]
/// impl Warehouse {
///     async fn ship(&self, ctx: Context, order: OrderCreated) -> Result<()> {
///         println!("shipping {}", order.id);
///         Ok(())
///     }
///
///     async fn count(&self, ctx: Context, order: OrderCreated) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// # fn main() {
/// let warehouse = struct_subscriber("orders.created", Warehouse).queue("warehouse");
/// # }
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
/// ```
/// # use micro_core::{Context, Result};
/// # use micro_macros::{Payload, handler};
/// # mod codegen { pub use micro_rpc::codegen::*; }
/// # #[derive(serde::Serialize, serde::Deserialize, Payload)]
/// # #[payload(crate = "crate::codegen")]
/// # struct Request { name: String }
/// # #[derive(serde::Serialize, serde::Deserialize, Payload)]
/// # #[payload(crate = "crate::codegen")]
/// # struct Response { text: String }
/// struct Greeter;
///
/// # /*
/// #[micro::handler]
/// # */
/// # #[handler(crate = "crate::codegen")]
/// impl Greeter {
///     async fn greet(&self, ctx: Context, request: Request) -> Result<Response> {
///         Ok(Response { text: format!("Hello {}", request.name) })
///     }
/// }
/// # fn main() {}
/// ```
///
/// `service.handle(Greeter)` serves it.
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
/// ```
/// # mod micro { pub use micro_macros::Payload; }
/// # mod codegen { pub use {bytes, serde, micro_core as core}; }
/// #[derive(serde::Serialize, serde::Deserialize, micro::Payload)]
/// # #[payload(crate = "crate::codegen")]
/// struct OrderCreated {
///     id: u64,
///     item: String,
/// }
/// # fn main() {}
/// ```
#[proc_macro_derive(Payload, attributes(payload, serde))]
pub fn derive_payload(item: TokenStream) -> TokenStream {
    payload::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
