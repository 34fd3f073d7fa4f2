//! Ringkeep.

pub mod resp;
pub mod route;
