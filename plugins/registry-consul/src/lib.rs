//! The Consul registry: services found through a Consul agent, in go-micro's format.
//!
//! [`Consul`] is the plugin; its address and parameters are in its documentation. go-micro programs and ours find each
//! other, and so does whoever registered with Consul by other means: such a service has the version `""`.

mod api;
mod catalog;
mod config;
mod convert;
mod http;
mod registry;
mod watch;

pub use registry::Consul;
