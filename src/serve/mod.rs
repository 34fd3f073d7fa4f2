//! Requests between connections and shards: where each one runs, what waits for what. No sockets, no files.

pub mod client;
pub(crate) mod clients;
mod cluster;
mod elsewhere;
pub mod engine;
pub(crate) mod host;
mod housekeeping;
pub mod job;
pub mod local;
mod lost;
pub mod message;
pub mod node;
mod pause;
pub mod traces;
pub mod traffic;
