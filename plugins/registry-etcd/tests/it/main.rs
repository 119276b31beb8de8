//! What the etcd registry promises, shown with real servers.

mod conformance;
