//! Example: pubsub.
fn main() {}
