//! Keys, values and versions of one shard.

mod apply;
mod batch;
mod database;
mod effect;
mod entry;
mod garbage;
mod install;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod keyspace;
mod large;
mod libraries;
mod memory;
#[cfg(test)]
mod pin_tests;
mod pins;
mod reads;
mod schedule;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tip;
mod uncommitted;
mod undo;
mod value;
mod versions;
mod view;
#[cfg(test)]
mod view_tests;
mod view_walk;
mod view_writes;
mod watch;

pub use batch::{ClosedBatch, Mark};
pub use effect::{BadEffect, DatabaseIndex, Effect, Effects, NewValue, put_head};
pub use entry::Entry;
pub use keyspace::Keyspace;
pub use large::LargeString;
pub use libraries::{LibrarySet, library_bytes};
pub use pins::WalkPosition;
pub use reads::{KeyHash, Reads};
pub use table::{Keyed, SCAN_POSITIONS, SCAN_SHIFT, Table, hash_key};
pub use text::Text;
pub use value::{ColdRange, Segments, StringBytes, Value, canonical_integer};
pub use view::View;
