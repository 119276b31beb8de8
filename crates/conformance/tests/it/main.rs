//! The memory plugin passes every case, and each case catches a plugin that breaks its rule.

mod broken;
mod hooks;
mod memory;
mod tamper;
