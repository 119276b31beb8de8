//! Checks, tests, benches and generated pages of the project.
fn main() {}
