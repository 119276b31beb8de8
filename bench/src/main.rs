//! Each row beside its peer in the same run.
fn main() {}
