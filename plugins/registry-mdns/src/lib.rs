//! The mDNS registry, in go-micro's record format: services on one network find each other with nothing installed, and
//! programs of go-micro see ours as we see theirs.
//!
//! Not DNS-SD: go-micro speaks its own domain `micro`, expects the question echoed in an answer sent back to the asker's
//! port, and packs the record as zlib and hex into TXT strings. What a peer may rely on:
//!
//! - a question for `<service>.micro.` is answered by one packet a node: PTR, SRV, A or AAAA, TXT;
//! - a new node is announced three times within three seconds, a node that goes says so with a time to live of 0;
//! - watching is listening to announcements and asking again every ten seconds; a node that missed three questions, or
//!   whose time to live is over, is gone.
//!
//! A program that was killed says no farewell: its nodes are gone for a watcher after three questions, 30 seconds by
//! default, so give `interval` less than two thirds of the shortest time to live that is registered. A network that falls
//! in two is silent and no error: each side takes the other's nodes away, and finds them again afterwards.
//!
//! Everything runs on one thread of its own, begun at the first use and ended with the last handle. Only IPv4 groups are
//! joined; a node itself may have an IPv6 address.
//!
//! What mDNS cannot carry is a clear error: a node without an IP address, a label of more than 63 bytes, a record that
//! does not fit into one packet.

mod config;
mod convert;
mod driver;
mod nodes;
mod own;
mod packet;
mod registry;
mod rounds;
mod socket;
mod watch;

pub use registry::Mdns;
