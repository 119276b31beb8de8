//! What the gossip registry promises, shown with real members on the loopback.

mod cluster;
mod conformance;
mod failure;
mod members;
mod network;
mod nonsense;
