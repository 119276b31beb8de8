//! What the ZooKeeper registry promises, shown with a real ZooKeeper.

mod conformance;
mod failure;
mod records;
mod world;
