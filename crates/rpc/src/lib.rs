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
//!
//! # What a server refuses
//!
//! A call that is [one too many](ServerOptions::max_in_flight), for the server or [its endpoint](Endpoint::max_in_flight);
//! one that [waited too long](ServerOptions::shed) while there is more work than can be done; one whose time is over, or
//! [surely too short](ServerOptions::refuse_late). None of these is begun, and the answer says so by the header
//! `micro-not-run`: the first two (8 and 429) our client repeats at another node, whether they are idempotent or not.
//!
//! # Metrics
//!
//! `micro_rpc_server_requests_total{endpoint, code}`, `micro_rpc_server_request_duration_seconds{endpoint}`,
//! `micro_rpc_server_refused_total{endpoint, reason}` with the reasons `limit`, `overload` and `deadline`; a refused call is
//! in none of the others. `micro_rpc_client_requests_total{service, endpoint, code}`,
//! `micro_rpc_client_request_duration_seconds{service, endpoint}`.

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
