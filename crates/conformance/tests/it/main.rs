//! The memory plugin passes every case, and each case catches a plugin that breaks its rule.

mod broken;
mod memory;
mod tamper;
