//! Routing, pure: which shard a key lives in, how a request over several shards is split and its replies are joined, and
//! when a connection's bytes may leave.

mod crc16;
mod gates;
mod join;
mod plan;
mod slots;
mod split;

pub use gates::{Gate, OutputQueue};
pub use join::{Join, JoinError};
pub use plan::{KeyRange, Placement};
pub use slots::{SHARD_COUNT_MAX, SLOT_COUNT, SlotMap, parse_slot, slot_of};
pub use split::{Part, Split};
