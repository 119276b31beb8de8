//! Turns .proto files into messages, handler traits and typed clients. For `build.rs`; nothing needs to be installed.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     micro_build::compile(&["proto/greeter.proto"])?;
//!     Ok(())
//! }
//! ```
//!
//! ```ignore
//! // main.rs
//! mod greeter {
//!     micro::include_proto!("greeter"); // the .proto's package; without one, the file's name
//! }
//! ```
//!
//! # What comes out
//!
//! For `service Greeter { rpc Greet(Request) returns (Response); rpc Count(Request) returns (stream Response); }`:
//!
//! | item | what it is |
//! |---|---|
//! | `Request`, `Response` | messages: `prost::Message`, serde by the JSON rule of `micro_core::codec::json`, `Payload` |
//! | `trait Greeter` | to be implemented with plain `async fn greet(&self, ctx: Context, request: Request) -> Result<Response>` |
//! | `GreeterServer::new(handler)` | what `service.handle(…)` takes |
//! | `GreeterClient::new("greeter", &client)` | `client.greet(&request).await?` |
//! | `FILE_DESCRIPTOR_SET` | the encoded descriptors with their imports, for reflection |
//!
//! A handler of a stream takes a `Receiver` of requests, a `Sender` of responses, or both. Names that Rust keeps for
//! itself get `r#` or an underscore behind; so do methods named `new` or `clone`. Comments of the .proto become docs.
//! `google.protobuf.Timestamp`, `Duration`, `Empty`, `Struct`, `Any`, `FieldMask` and the wrappers are the types of
//! `micro_core::codec::well_known`.
//!
//! # Several packages
//!
//! Types of another package are found by `super::`, so modules nest as packages do: `shop.v1` lives in
//! `mod shop { pub mod v1 { … } }`. The file `micro_protos.rs` has the whole tree ready:
//! `micro::include_proto!("micro_protos")`.

mod check;
mod comments;
mod compile;
mod config;
mod enumeration;
mod error;
mod field;
mod finish;
mod message;
mod names;
mod service;

pub use config::Config;
pub use error::Error;

use std::path::Path;

/// Compiles .proto files into `OUT_DIR`, with the defaults of [`configure`].
///
/// Paths are relative to the crate. Cargo is told to run the build script again when one of the files, or a file that
/// they import, changes.
///
/// # Errors
///
/// Names the file, the line and the column in the .proto, and what is wrong there.
pub fn compile<P: AsRef<Path>>(files: &[P]) -> Result<(), Error> {
    configure().compile(files)
}

/// Starts to set how files are compiled.
///
/// # Examples
///
/// ```no_run
/// micro_build::configure()
///     .include("proto")
///     .type_attribute("shop.Order", "#[derive(derive_more::Constructor)]")
///     .compile(&["proto/shop/v1/order.proto"])?;
/// # Ok::<(), micro_build::Error>(())
/// ```
pub fn configure() -> Config {
    Config::new()
}
