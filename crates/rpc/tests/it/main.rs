//! A real server and a real client on loopback.

mod call;
mod stream;
mod world;
