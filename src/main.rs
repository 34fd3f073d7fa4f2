//! Ringkeep.
fn main(){}
