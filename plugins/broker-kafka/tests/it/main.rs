//! The Kafka broker against a real server; each module is named after what it shows.

mod mistakes;
mod publish;
mod queues;
mod raw;
mod security;
mod settle;
mod starts;
mod world;
