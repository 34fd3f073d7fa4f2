//! Ringkeep: a Redis-compatible server that keeps its promises.

pub mod resp;
pub mod route;
pub mod runtime;
pub mod serve;
pub mod server;
