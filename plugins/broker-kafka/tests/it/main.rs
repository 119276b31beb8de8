//! The Kafka broker against a real server; each module is named after what it shows.

mod conformance;
mod detour;
mod foreign;
mod injected;
mod lag;
mod mistakes;
mod mock;
mod outage;
mod own;
mod publish;
mod queues;
mod raw;
mod security;
mod settle;
mod soak;
mod starts;
mod three;
mod transactions;
mod world;
