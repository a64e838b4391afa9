//! The ringbus broker.
fn main() {}
