//! The NATS registry, in go-micro's messages: its programs and ours find each other, with NATS 2.2 or newer.
//!
//! [`Nats`] is the plugin. Its address is `nats://user:password@host:4222,host:4222?…`, with these parameters:
//!
//! | parameter | default | what it does |
//! |---|---|---|
//! | `domain` | `micro` | keeps records apart: those of another domain have subjects of their own, `….<domain>.query` |
//! | `subject` | `micro.registry.nats` | what the subjects begin with; go-micro v4 and newer: `micro.nats` |
//! | `timeout_ms` | `5000` | what a call takes at most |
//! | `wait_ms` | `100` | for how long answers are gathered, as go-micro does |
//! | `token` | none | a token instead of an account |
//! | `creds` | none | a file of credentials, a JWT and its seed, instead of an account |
//! | `tls` | `false`, with the scheme `natss` `true` | speaks TLS |
//! | `ca` | the system's | a PEM file of the authorities that are trusted |
//! | `cert`, `key` | none | PEM files of a certificate of our own and its key |
//! | `verify` | `true` | `false` believes any certificate |
//!
//! # What it keeps, and how
//!
//! - NATS keeps nothing: each process answers for its own nodes when it is asked on `….query`, and tells on `….watch` what
//!   comes and goes. So a node that is gone answers no more, and a server that was restarted has lost nothing. JetStream is
//!   not used.
//! - A call that asks gathers answers for `wait_ms`, from when the server has passed the question on: **it takes that long**,
//!   and a process that is slower is not found by it. A client watches what it calls, and seldom asks.
//! - A node is gone for watchers when its process says so, when its time to live ends, or when it is silent for 25 s: they ask
//!   again every 10 s.
//! - Of two programs that register a node of one id the last is found: the other hears of it and forgets its own.
//! - A program of go-micro tells no time to live, and answers for what it deregistered as long as it runs; it is not believed
//!   then.
//! - When the connection is lost the watches end with an error, and whoever watches asks for a new one. A server that falls
//!   silent is noticed within 10 s. Nodes are answered for again as soon as there is a server.
//! - A watcher that does not listen costs what is registered and 1,024 changes; after that it gets the full state.
//! - A record that cannot be read is left out, counted and named once in the log.

mod config;
mod error;
mod gone;
mod link;
mod member;
mod message;
mod own;
mod registry;
mod watch;

pub use registry::Nats;
