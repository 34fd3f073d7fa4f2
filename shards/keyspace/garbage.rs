//! What flushes and pins leave behind, freed in slices.

use crate::keyspace::entry::Entry;
use crate::keyspace::table::Table;
use crate::keyspace::versions::Chain;

/// Segments of a table (some 450 entries each) that are freed at once.
const SEGMENTS_PER_SLICE: usize = 8;

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

    /// Frees a slice; whether there is more.
    pub(super) fn free_some(&mut self) -> bool {
        if let Some(table) = self.entries.last_mut() {
            if !table.free_some(SEGMENTS_PER_SLICE) {
                self.entries.pop();
            }
        } else if let Some(table) = self.versions.last_mut()
            && !table.free_some(SEGMENTS_PER_SLICE)
        {
            self.versions.pop();
        }
        !self.is_empty()
    }
}
