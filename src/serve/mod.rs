//! Requests between connections and shards: where each one runs, what waits for what. No sockets, no files.

mod answers;
mod blocked;
pub mod bounds;
pub mod called;
pub mod client;
pub(crate) mod clients;
mod cluster;
mod elsewhere;
pub mod engine;
pub mod exec;
pub mod hold;
pub(crate) mod host;
mod housekeeping;
pub mod job;
mod jobs;
pub mod local;
mod lost;
pub mod message;
pub mod monitors;
pub mod node;
mod pause;
mod scripts;
mod shown;
mod steps;
pub mod traces;
pub mod traffic;
mod waits;
