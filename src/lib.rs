//! Ringkeep.

pub mod runtime;
