//! Inverses: how each effect of an entry is taken back until Raft has delivered it.

use crate::ids::Batch;
use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::entry::Entry;
use crate::keyspace::libraries::LibrarySet;
use crate::keyspace::schedule::Schedule;
use crate::keyspace::table::Table;
use crate::keyspace::text::Text;
use crate::keyspace::uncommitted::Place;
use crate::keyspace::value::Value;
use std::sync::Arc;

/// One effect's inverse, with the mark that its key had in the uncommitted table.
pub(super) struct Undo {
    pub(super) db: DatabaseIndex,
    /// Removals of expired keys belong to the tick, not to the script or EXEC that met them: an undo of those keeps them.
    pub(super) survives: bool,
    pub(super) mark: Option<(Place, Batch)>,
    pub(super) inverse: Inverse,
}

/// What takes one effect back.
pub(super) enum Inverse {
    /// The key was absent.
    Absent { key: Text },
    /// The key held this.
    Held { key: Text, value: Value, expires_ms: u64 },
    /// The key was taken out.
    PutBack { entry: Box<Entry> },
    /// The key expired then.
    Expired { key: Text, expires_ms: u64 },
    /// The buffer had these bytes there.
    Spliced { key: Text, offset: usize, bytes: Box<[u8]> },
    /// The buffer was this long, and had room for so many bytes.
    Grown { key: Text, len: usize, capacity: usize },
    /// The whole database was this.
    Root { root: Box<Root>, flushed: Batch },
    /// The libraries were these, and their newest change was of this batch.
    Libraries { set: Arc<LibrarySet>, newest: Batch },
}

/// What FLUSHDB swaps out.
pub(super) struct Root {
    pub(super) table: std::rc::Rc<Table<Entry>>,
    pub(super) expiring: usize,
    pub(super) schedule: Schedule,
    pub(super) memory_bytes: usize,
}
