//! The Kafka broker against a real server; each module is named after what it shows.

mod publish;
mod queues;
mod raw;
mod settle;
mod starts;
mod world;
