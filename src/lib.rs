//! Ringkeep: a Redis-compatible server that keeps its promises.

pub mod check;
pub mod cli;
pub mod config;
pub mod host;
pub mod log_line;
pub mod observe;
pub mod resp;
pub mod route;
pub mod runtime;
#[cfg(test)]
mod scratch;
pub mod serve;
pub mod server;
