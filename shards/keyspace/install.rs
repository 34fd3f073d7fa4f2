//! Another state takes this one's place: what a snapshot of the group brought.

use crate::ids::{Batch, SegmentId};
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::table::Table;
use crate::keyspace::uncommitted::Uncommitted;

impl Keyspace {
    /// An empty keyspace with the same hash and bounds, and a table of segments of its own.
    pub(crate) fn empty_like(&self) -> Self {
        Keyspace::new(self.databases[0].table.seed(), self.large_bytes_min)
    }

    /// What `other` holds replaces everything here, as a batch of its own, which is committed: its number. Its large values lie in
    /// `segment`, a file of `file_bytes`, which joins this table of segments. What was here is freed in slices.
    ///
    /// # Panics
    /// When something here is pinned or not delivered.
    pub(crate) fn install(&mut self, mut other: Keyspace, segment: SegmentId, file_bytes: u64) -> Batch {
        assert!(self.body.is_empty() && self.kept.is_empty() && self.pins.is_empty(), "a state is replaced at rest");
        self.met_expired.get_mut().clear();
        self.segments.adopt(&mut other.segments, segment, file_bytes);
        for (ours, theirs) in self.databases.iter_mut().zip(&mut other.databases) {
            let seed = ours.table.seed();
            let old = std::mem::replace(&mut ours.table, std::mem::replace(&mut theirs.table, Table::new(seed)));
            self.garbage.entries(old);
            ours.expiring = theirs.expiring;
            ours.schedule = std::mem::take(&mut theirs.schedule);
            ours.memory_bytes = theirs.memory_bytes;
            ours.watched = Table::new(seed);
        }
        self.watches = 0;
        self.memory_bytes = other.memory_bytes;
        self.libraries.replace(other.libraries_at_tip().clone());
        self.changes += 1;
        self.uncommitted = Uncommitted::new();
        self.advance_timestamp(other.batch_timestamp);
        self.applied()
    }
}
