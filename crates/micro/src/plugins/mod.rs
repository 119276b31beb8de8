//! The table of plugins: from the name that a flag gives to the plugin.
//!
//! A plugin of this repository is a feature and a line in [`brokers`] or [`registries`]; one of a third party is given to
//! the [`ServiceBuilder`](crate::ServiceBuilder) as a value and needs neither.

mod brokers;
mod caches;
mod registries;
mod selectors;
mod source;
mod unknown;

#[cfg(any(feature = "broker-embedded", feature = "registry-embedded"))]
use micro_core::address::Address;

pub(crate) use brokers::broker;
pub(crate) use caches::cache;
pub(crate) use registries::registry;
pub(crate) use selectors::selector;
pub use source::IntoPlugin;
pub(crate) use source::PluginSource;

/// Sets the folder of an embedded plugin, unless its address names one.
#[cfg(any(feature = "broker-embedded", feature = "registry-embedded"))]
fn in_home(address: &Address, home: Option<&str>) -> Address {
    match home {
        Some(home) if address.path().is_empty() => {
            let folder = std::path::absolute(home).unwrap_or_else(|_| home.into());
            address.clone().with_path(folder.to_string_lossy())
        }
        _ => address.clone(),
    }
}
