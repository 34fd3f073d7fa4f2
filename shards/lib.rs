//! The core of Ringkeep: a shard is a deterministic state machine.
//!
//! Nothing here knows a runtime, a socket, a file or a clock: time, entropy and the completions of I/O are inputs, what must
//! be done outside is an output.

mod backlog;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
pub mod command;
mod crc64;
#[cfg(test)]
mod dice;
pub mod glob;
pub mod group;
mod housekeeping;
pub mod ids;
#[cfg(test)]
mod isolation;
pub mod keyspace;
pub mod limits;
pub mod log;
pub mod lost;
mod member;
mod open;
pub mod port;
mod references;
pub mod reply;
#[cfg(feature = "sabotage")]
pub mod sabotage;
#[cfg(not(feature = "sabotage"))]
mod sabotage;
pub mod script;
mod shard;
mod shortage;
pub mod slots;
mod snapshot;
mod stored;
mod transaction;

pub use member::{MemberStart, open_member};
pub use open::{FIRST_SEGMENT, FoundFile, OpenConfig, OpenError, Opened, open_lone};
pub use references::check_checkpoint;
pub use shard::{Shard, ShardConfig, ShardStart};
pub use transaction::{ContextInfo, StopReason};
