//! The embedded database of micro-rs: several processes on one folder.
