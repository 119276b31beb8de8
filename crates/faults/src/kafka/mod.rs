//! Real Kafka servers: KRaft nodes that are broker and controller in one, without ZooKeeper.
//!
//! A test that only publishes and subscribes uses the server that the test command has started, [`shared`]; one that
//! kills or pauses nodes starts a cluster of its own, [`Kafka::start`]. The programs come from [`Distribution`].
//!
//! A secure server, see [`Setup::secure`], knows `alice` with the password `alice-secret`, who may do everything, and
//! `bob` with `bob-secret`, who may do nothing. Without a login one may do everything, on the plain and the TLS listener.

mod archive;
mod certificates;
mod cluster;
mod distribution;
mod node;
mod properties;
mod setup;
mod shared;
mod wire;

pub use archive::train;
pub use cluster::Kafka;
pub use distribution::Distribution;
pub use setup::Setup;
pub use shared::{Shared, shared};
