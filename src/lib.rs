//! Ringkeep.

pub mod check;
pub mod runtime;
