//! The registry on the loopback, each test on a group and a port of its own.

mod bridge;
mod conformance;
mod discovery;
mod failure;
mod group;
mod lifetime;
mod wire;
