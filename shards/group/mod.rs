//! The Raft group of a shard.

#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod group;
mod storage;

pub use group::{Group, GroupOutputs, GroupStart, Refused, TICK_MS, decode_hard_state};
pub use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
pub use storage::Wanted;
