//! Example: greeter.
fn main() {}
