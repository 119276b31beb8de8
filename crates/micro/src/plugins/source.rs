//! What can be given where a plugin is asked for.

use std::fmt;
use std::sync::Arc;

use micro_core::broker::Broker;
use micro_core::registry::Registry;
use micro_core::selector::Selector;

/// A plugin as code gave it.
#[derive(Clone)]
pub enum PluginSource<P: ?Sized> {
    /// By the name, or address, that a flag takes.
    Named(String),
    /// Itself.
    Value(Arc<P>),
}

impl<P: ?Sized + fmt::Debug> fmt::Debug for PluginSource<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The address may have a password in it.
            Self::Named(_) => f.write_str("Named"),
            Self::Value(plugin) => plugin.fmt(f),
        }
    }
}

/// Anything that says which plugin: a plugin, a shared one, or the name or address that a flag takes.
///
/// The second parameter only tells the cases apart; nobody writes it.
///
/// # Examples
///
/// ```
/// use micro::{Service, broker::memory::Memory};
/// use std::sync::Arc;
///
/// let by_name = Service::builder("a").broker("memory");
/// let by_value = Service::builder("a").broker(Memory::new());
/// let shared: Arc<dyn micro::broker::Broker> = Arc::new(Memory::new());
/// let several = (Service::builder("a").broker(Arc::clone(&shared)), Service::builder("b").broker(shared));
/// ```
pub trait IntoPlugin<P: ?Sized, By> {
    /// Says which plugin it is.
    #[doc(hidden)]
    fn into_plugin(self) -> PluginSource<P>;
}

/// Marks a name.
#[derive(Debug)]
pub struct ByName;

/// Marks a plugin by value.
#[derive(Debug)]
pub struct ByValue;

/// Marks a shared plugin.
#[derive(Debug)]
pub struct Shared;

impl<P: ?Sized> IntoPlugin<P, ByName> for &str {
    fn into_plugin(self) -> PluginSource<P> {
        PluginSource::Named(self.to_owned())
    }
}

impl<P: ?Sized> IntoPlugin<P, ByName> for String {
    fn into_plugin(self) -> PluginSource<P> {
        PluginSource::Named(self)
    }
}

impl<P: ?Sized> IntoPlugin<P, Shared> for Arc<P> {
    fn into_plugin(self) -> PluginSource<P> {
        PluginSource::Value(self)
    }
}

impl<B: Broker> IntoPlugin<dyn Broker, ByValue> for B {
    fn into_plugin(self) -> PluginSource<dyn Broker> {
        PluginSource::Value(Arc::new(self))
    }
}

impl<R: Registry> IntoPlugin<dyn Registry, ByValue> for R {
    fn into_plugin(self) -> PluginSource<dyn Registry> {
        PluginSource::Value(Arc::new(self))
    }
}

impl<S: Selector> IntoPlugin<dyn Selector, ByValue> for S {
    fn into_plugin(self) -> PluginSource<dyn Selector> {
        PluginSource::Value(Arc::new(self))
    }
}
