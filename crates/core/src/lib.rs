//! The interfaces of micro-rs, and the plugins that need nothing but memory.
//!
//! This is the crate that a plugin depends on, and the only one. It opens no socket and no file.
//!
//! | module | what is in it |
//! |---|---|
//! | [`broker`] | the broker contract: [`Message`](broker::Message), [`Delivery`](broker::Delivery), [`Settle`](broker::Settle), [`Receipts`](broker::Receipts), [`Broker`](broker::Broker) |
//! | [`registry`] | which nodes a service has: [`Registry`](registry::Registry), its records, its watched cache |
//! | [`selector`] | which of the nodes a call goes to |
//! | [`codec`] | bodies by content type: [`Payload`](codec::Payload) |
//! | [`context`] | what travels with a call or an event |
//! | [`middleware`] | what stands round handlers and calls |
//! | [`error`] | the one error type |
//! | [`address`] | `kafka://user:secret@h1,h2/?acks=all`, with the secret hidden when printed |
//! | [`tls`] | which certificates a connection shows and believes |

pub mod address;
pub mod broker;
pub mod codec;
pub mod context;
pub mod error;
mod headers;
pub mod middleware;
pub mod registry;
pub mod selector;
pub mod tls;

pub use context::Context;
pub use error::{Error, Kind, Result, Retry};
pub use headers::Headers;
