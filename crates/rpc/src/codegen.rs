//! What generated code names. Not for people to call: it changes with the generators.
#![doc(hidden)]

pub use bytes;
pub use micro_core as core;
pub use micro_core::codec::{Format, Payload};
pub use micro_core::{Context, Error, Kind, Result};
pub use prost;
pub use serde;

pub use crate::{
    Call, Client, ClientStream, ClientStreamCall, Endpoint, Endpoints, Receiver, Sender, ServerStreamCall, Stream,
    StreamCall,
};
