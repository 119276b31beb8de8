//! The memory plugin passes every case, and each case catches a plugin that breaks its rule.

mod away;
mod broken;
mod broken_codec;
mod broken_registry;
mod broken_transport;
mod codec;
mod hooks;
mod memory;
mod registry_memory;
mod registry_multi;
mod tamper;
