//! Real servers and broken connections, for tests.
//!
//! | part | what it does |
//! |---|---|
//! | [`kafka`] | a Kafka cluster of a test's own, its nodes killed, paused and started again; the one that all tests share |
//! | [`Etcd`] | a real etcd of a test's own, killed, paused and started again, with or without its data, TLS and accounts, alone or as a cluster |
//! | [`Consul`] | a Consul agent of a test's own, killed, paused and started again |
//! | [`ZooKeeper`] | a ZooKeeper of a test's own, killed, paused and started again, with or without its data |
//! | [`Nats`] | a NATS server of a test's own, killed, paused and started again, with TLS and accounts |
//! | [`Proxy`] | stands in front of a server and cuts, holds, half-opens, delays or throttles its connections, and flips bits of what goes through ([`Corruption`]) |
//! | [`Network`] | hosts in network namespaces of their own; the link of one is pulled and plugged in again. Needs root |
//! | [`Authority`] | signs certificates: of servers and clients, out of date, for another name |
//! | [`Process`] | any server as a child process that never outlives the test |
//! | [`Ports`] | ports for servers that are started, ended and started again |
//!
//! What fails in our own code is not here but beside it: `micro_engine::fail_point`, with the feature `fail-points`, makes a
//! commit or a sync of the embedded database fail, panic, take longer or kill its process.
//!
//! A server that cannot be had is a failed test, not a skipped one: each [`Failure`] says what to do.

mod authority;
mod consul;
mod etcd;
mod failure;
pub mod kafka;
mod nats;
mod network;
mod ports;
mod process;
mod proxy;
mod server;
mod wait;
mod zookeeper;

pub use authority::{Authority, Signed, Validity};
pub use consul::{Consul, consul_place, consul_program};
pub use etcd::Etcd;
pub use failure::{Failure, Result};
pub use nats::Nats;
pub use network::Network;
pub use ports::Ports;
pub use process::Process;
pub use proxy::{Corruption, Direction, Proxy};
pub use server::Server;
pub use zookeeper::ZooKeeper;
