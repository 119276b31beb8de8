//! Rust and go-micro v2.9.1, both ways. The Go program is a real one: see ../go.

mod go_calls_rust;
mod go_kafka;
mod kafka;
mod kafka_events;
mod mdns;
mod peer;
mod registries;
mod rust_calls_go;
mod rust_kafka;
mod service;
mod wait;
