//! Requests between connections and shards: where each one runs, what waits for what. No sockets, no files.

pub mod client;
mod clients;
mod cluster;
mod elsewhere;
pub mod engine;
mod host;
mod housekeeping;
pub mod job;
pub mod local;
mod lost;
pub mod message;
pub mod node;
mod pause;
