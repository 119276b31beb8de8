//! The ZooKeeper registry, in go-micro's paths and records: its programs and ours find each other, with ZooKeeper 3.6 or
//! newer.
//!
//! [`ZooKeeper`] is the plugin. Its address is `zookeeper://user:password@host:2181,host:2181?…`, with these parameters:
//!
//! | parameter | default | what it does |
//! |---|---|---|
//! | `domain` | `micro` | keeps records apart: those of another domain lie below `/micro-registry-<domain>` |
//! | `timeout_ms` | `5000` | what a call takes at most |
//! | `acl` | `open` | `creator`: what is made here is for the account of the address alone |
//!
//! # What it keeps, and how
//!
//! - A node is the znode `/micro-registry/<service>/<node id>`, where a slash in either is written as a dash. Its data is the
//!   service's JSON with that one node.
//! - Ours are ephemeral: they go with the session of their client. Those of go-micro are not, and are read all the same;
//!   they stay until somebody deletes them.
//! - A client has one session. Its timeout is the least time to live that was asked for, 6 s at most; the server makes it no
//!   shorter than two of its ticks, 4 s by default. A process that is killed is missed after that time.
//! - While its client lives a node that is not registered again is deleted when its time to live ends, whatever the session.
//! - A session that is lost is opened anew within a second or two, and everything that is still alive is registered in it.
//! - Of two programs that register a node of one id the last one is found.
//! - A watch is one persistent recursive watch of the server. When the connection was lost everything is read anew, in the
//!   old session or a new one, and what changed meanwhile is told. When that is not possible within `timeout_ms` the watch
//!   ends with the error.
//! - A record that cannot be read is left out, counted and named once in the log.
//! - TLS is not spoken.

mod config;
mod error;
mod keeper;
mod keys;
mod node;
mod registry;
mod session;
mod watch;

pub use registry::ZooKeeper;
