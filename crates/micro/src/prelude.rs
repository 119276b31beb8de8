//! What most programs use: `use micro::prelude::*;`.
//!
//! `Serialize` and `Deserialize` are serde's; deriving them needs `serde` in the program's own `Cargo.toml`.

pub use micro_core::Context;
pub use micro_core::codec::Payload;
pub use micro_core::{Error, Kind, Result};
pub use micro_event::{Event, batch_subscriber, raw_subscriber, struct_subscriber, subscriber};
pub use micro_macros::{Payload, handler, subscriber};
pub use micro_rpc::{Client, Endpoint, Receiver, Sender};
pub use serde::{Deserialize, Serialize};

pub use crate::{Flag, Service};
