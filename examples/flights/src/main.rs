//! Example: flights.
fn main() {}
