//! A registry without a server: the processes of a cluster tell each other by gossip, over UDP.
//!
//! [`Gossip`] is the plugin. Its address is `gossip://host:7946,host:7946?…`: the members that are asked first, with these
//! parameters. With no host this process is the first.
//!
//! | parameter | default | what it does |
//! |---|---|---|
//! | `listen` | `127.0.0.1:7946`; with seeds any port of `127.0.0.1` | `IP:PORT` at which this process hears the others |
//! | `advertise` | where it listens | `IP:PORT` at which others reach it |
//! | `domain` | `micro` | keeps records apart: members of another domain are not heard |
//! | `interval_ms` | `250` | how often it gossips, with three others |
//! | `silence_ms` | `3000` | a member of which nothing is heard for so long is gone, with its nodes |
//!
//! # What it keeps, and how
//!
//! - Each process keeps its own nodes, and tells them: the service's JSON with that one node, under a key of its own. What
//!   it deregisters, or does not register again in time, it takes away itself.
//! - A process that leaves takes its nodes away. One that is killed is silent, and its nodes are gone after `silence_ms` and
//!   the time its last heart-beat takes through the cluster, a few intervals. One that stands still for so long comes back.
//! - Of two programs that register a node of one id the last counts, by a stamp that grows; no clock plays a part.
//! - A network that falls in two is two clusters that go on; silence is no error. They find each other again within a
//!   minute by themselves, and later by the seeds, so have more than one and give them to all.
//! - A record is at most 32 KiB, and is refused as too large otherwise.
//! - Nothing is secret and nobody is checked: whoever reaches the port may read and write. It is for networks where everybody is
//!   trusted, and listens on the loopback unless told otherwise.
//! - The wire is chitchat's, so that go-micro's programs, whose gossip is memberlist's, are not found.

mod book;
mod config;
mod driver;
mod member;
mod own;
mod peers;
mod registry;
mod socket;
mod value;
mod watch;

pub use registry::Gossip;
