//! What flushes and pins leave behind, freed in slices.

use crate::keyspace::entry::Entry;
use crate::keyspace::table::Table;
use crate::keyspace::versions::Chain;
use crate::limits::FREED_TABLE_SEGMENTS_PER_SLICE;

/// Tables that nobody reads any more.
#[derive(Default)]
pub(super) struct Garbage {
    entries: Vec<Table<Entry>>,
    versions: Vec<Table<Chain>>,
}

impl Garbage {
    /// A database's keys.
    pub(super) fn entries(&mut self, table: Table<Entry>) {
        self.entries.push(table);
    }

    /// Old versions.
    pub(super) fn versions(&mut self, table: Table<Chain>) {
        if !table.is_empty() {
            self.versions.push(table);
        }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.versions.is_empty()
    }

    /// Frees a slice.
    pub(super) fn free_some(&mut self) {
        if let Some(table) = self.entries.last_mut() {
            if !table.free_some(FREED_TABLE_SEGMENTS_PER_SLICE) {
                self.entries.pop();
            }
        } else if let Some(table) = self.versions.last_mut()
            && !table.free_some(FREED_TABLE_SEGMENTS_PER_SLICE)
        {
            self.versions.pop();
        }
    }
}
