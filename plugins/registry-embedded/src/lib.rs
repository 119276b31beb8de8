//! The embedded registry: the services of one machine, found by its processes without a server.
//!
//! [`Embedded`] is the plugin. Records lie in `registry.db` of the folder that the embedded broker uses too, in a file of
//! their own. A node is there until its time to live ends, or at once no more when the process that registered it dies:
//! that process holds a lock as long as it lives.

mod config;
mod folder;
mod job;
mod place;
mod registry;
mod snapshot;
mod tables;
mod watch;
mod watcher;

pub use registry::Embedded;
