//! A registry for who knows the nodes beforehand: a fixed list, in the address or in a file.
//!
//! [`Static`] is the plugin. It lists and registers nothing: what a service tells it of itself changes no list. So it
//! cannot keep what the conformance suite asks of a registry that is written to, and is not run through it.

mod config;
mod file;
mod registry;
mod watch;

pub use registry::Static;
