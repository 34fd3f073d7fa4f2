//! Ringkeep.

pub mod cli;
pub mod config;
pub mod host;
pub mod log_line;
#[cfg(test)]
mod scratch;
