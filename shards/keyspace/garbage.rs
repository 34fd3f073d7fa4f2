//! What flushes and pins leave behind, freed in slices.

use crate::keyspace::entry::Entry;
use crate::keyspace::table::Table;
use crate::keyspace::versions::Chain;

/// Segments of a table (some 450 entries each) that are freed at once. A turn frees one slice, so that more goes than clients can
/// store in a turn, and nobody notices it.
const SEGMENTS_PER_SLICE: usize = 2;

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
            if !table.free_some(SEGMENTS_PER_SLICE) {
                self.entries.pop();
            }
        } else if let Some(table) = self.versions.last_mut()
            && !table.free_some(SEGMENTS_PER_SLICE)
        {
            self.versions.pop();
        }
    }
}
