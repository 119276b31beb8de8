//! What the ZooKeeper registry promises, shown with a real ZooKeeper.

mod client;
mod conformance;
mod failure;
mod records;
