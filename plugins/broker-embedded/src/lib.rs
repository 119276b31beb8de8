//! The embedded broker: durable topics and queues in a folder, shared by all processes of a user. No server.
//!
//! [`Embedded`] is the plugin. How it works:
//!
//! - A topic has partitions; a message lies at an offset in one, chosen by its key. One table holds them all, so that a
//!   transaction of many publishers costs one sync.
//! - One writer thread a process takes whatever waits into one transaction (group commit), and answers when the disk has
//!   it. Processes take turns.
//! - One reader thread a process is woken by whoever published, and reads ahead for its subscriptions, as far as each may
//!   have in flight. It also takes back what is not answered within its lease; a member that takes nothing meanwhile
//!   gives its part to others, until it asks for something again.
//! - A queue's members own whole partitions, so that the order within a key holds across them. Who owns what is decided
//!   by each member for itself, inside transactions, from who is alive: a process holds a lock as long as it lives, and
//!   a lease as long as it moves. How far a queue is in a partition is one row: a watermark, and what differs above it.
//!
//! A row is written before the first message of a stretch is handed out, so that a message that kills its process is
//! counted in [`deliveries`](micro_core::broker::Delivery::deliveries): processes that died with it, leases that ended
//! with it, and this time; suspects are handed out one at a time, so that the innocent pass. A release takes its count back.

mod balance;
mod broker;
mod config;
mod convert;
mod cursor;
mod error;
mod feed;
mod feeder;
mod folder;
mod job;
mod member;
mod place;
mod publisher;
mod ranges;
mod settle;
mod share;
mod subscription;
mod tables;
mod work;

pub use broker::Embedded;
