//! The core of Ringkeep: a shard is a deterministic state machine.
//!
//! Nothing here knows a runtime, a socket, a file or a clock: time, entropy and the completions of I/O are inputs, what must
//! be done outside is an output.

pub mod command;
pub mod glob;
pub mod group;
pub mod ids;
pub mod keyspace;
pub mod log;
mod open;
pub mod port;
pub mod reply;
pub mod script;
mod shard;
pub mod slots;
mod transaction;

pub use open::{OpenConfig, OpenError, Opened, open_lone};
pub use shard::{Shard, ShardConfig};
