//! The memory plugins against the contracts they specify.

mod broker;
mod registry;
