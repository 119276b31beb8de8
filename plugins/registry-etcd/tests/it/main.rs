//! What the etcd registry promises, shown with real servers.

mod client;
mod cluster;
mod conformance;
mod failure;
mod leases;
mod records;
mod security;
