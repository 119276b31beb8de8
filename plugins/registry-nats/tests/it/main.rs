//! What the NATS registry promises, shown with a real NATS server.

mod client;
mod conformance;
mod failure;
mod messages;
mod security;
