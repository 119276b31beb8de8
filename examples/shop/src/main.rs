//! Example: shop.
fn main() {}
