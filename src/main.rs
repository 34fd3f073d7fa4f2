//! Ringkeep.
fn main() {}
