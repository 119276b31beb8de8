//! Services found by DNS: SRV records, or addresses with a port that is known. For Kubernetes' headless services, for
//! Consul's DNS, for a zone that somebody keeps.
//!
//! [`Dns`] is the plugin. DNS is only read: what a service tells of itself goes nowhere. So it cannot keep what the
//! conformance suite asks of a registry that is written to, and is not run through it.

mod config;
mod error;
mod lookup;
mod registry;
mod watch;

pub use registry::Dns;
