//! Rust and go-micro programs that find each other by mDNS.
