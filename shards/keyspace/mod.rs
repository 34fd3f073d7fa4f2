//! Keys, values and versions of one shard.

mod database;
mod effect;
mod entry;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod keyspace;
mod large;
#[cfg(test)]
mod pin_tests;
mod schedule;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod uncommitted;
mod undo;
mod value;
mod versions;

pub use effect::{BadEffect, DATABASES_MAX, DatabaseIndex, Effect, Effects, NewValue};
pub use entry::Entry;
pub use keyspace::{ClosedBatch, Keyspace, Mark};
pub use large::{LargeString, Place, SegmentBytes};
pub use table::{Keyed, SCAN_POSITIONS, SCAN_SHIFT, Table, hash_key};
pub use text::Text;
pub use value::{ColdRange, Segments, StringBytes, Value, canonical_integer};
pub use versions::Version;
