//! RPC over gRPC: client and server.
//!
//! A [`Server`] answers calls by [`Endpoint`]s, a [`Client`] makes them by the name of a service and an endpoint. Both
//! speak gRPC over HTTP/2 exactly as go-micro v2 does, so that programs of either kind call each other, and any gRPC
//! client calls both.
//!
//! | what | where |
//! |---|---|
//! | answering | [`Server`], [`ServerOptions`], [`Endpoint`], [`Endpoints`], [`Running`], [`Stats`] |
//! | calling | [`Client`], [`ClientBuilder`], [`Call`] and its three streaming kin |
//! | streams | [`Sender`], [`Receiver`], [`ClientStream`], [`Stream`] |
//! | threads | [`spawn`], [`set_cores`] |

mod client;
pub mod codegen;
mod cores;
mod measure;
pub mod resilience;
mod server;
mod stream;
mod trace;
mod wire;

pub use client::{Call, Client, ClientBuilder, ClientStreamCall, ServerStreamCall, StreamCall};
pub use cores::{set_cores, spawn};
pub use server::{Endpoint, Endpoints, Running, Server, ServerOptions, Stats};
pub use stream::{ClientStream, Receiver, Sender, Stream};
