//! The etcd registry, in go-micro's keys and records: its programs and ours find each other, with etcd 3.4 or newer.
//!
//! [`Etcd`] is the plugin. Its address is `etcd://user:password@host:2379,host:2379?…`, with these parameters:
//!
//! | parameter | default | what it does |
//! |---|---|---|
//! | `domain` | `micro` | keeps records apart: those of another domain lie below `/micro/registry-<domain>/` |
//! | `timeout_ms` | `5000` | what a call takes at most, with all servers that are tried |
//! | `tls` | `false`, with the scheme `etcds` `true` | speaks TLS |
//! | `ca` | the system's | a PEM file of the authorities that are trusted |
//! | `cert`, `key` | none | PEM files of a certificate of our own and its key |
//! | `verify` | `true` | `false` believes any certificate |
//!
//! Without an account in the address, that of `ETCD_USERNAME` and `ETCD_PASSWORD` is taken, as go-micro does.
//!
//! # What it keeps, and how
//!
//! - A node is the key `/micro/registry/<service>/<node id>`, where a slash in either is written as a dash. Its value is
//!   the service's JSON with that one node.
//! - Each key has a lease of its own, of whole seconds rounded up; etcd itself makes it 2 s at least, with its usual timing.
//!   Registering again refreshes the lease, and writes the record if it changed or is not there any more.
//! - Of two programs that register a node of one id the last one is found.
//! - A watch is one stream on the one connection of its client. What is read and what follows is of one revision and the
//!   next, so that nothing falls between. When its stream ends everything is read anew, from another server if need be, and
//!   what changed meanwhile is told. When that cannot be had the watch ends with the error.
//! - A watcher that does not listen costs what is registered and 1,024 changes; after that it gets the full state.
//! - A server that falls silent is noticed within 10 s, also by a watch.
//! - A record that cannot be read is left out, counted and named once in the log.

mod client;
mod config;
mod dial;
mod error;
mod keys;
mod nodes;
mod range;
mod registry;
mod watch;
mod wire;

pub use registry::Etcd;
