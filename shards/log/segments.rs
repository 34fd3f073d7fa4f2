//! A shard's segments: what each holds, who needs it, and when it may go.
//!
//! A file may go when none of these needs it:
//!
//! - recovery: the log from the newest checkpoint's start on, and that checkpoint itself;
//! - the newest checkpoint's references. A value that was deleted since is still read when the log after the checkpoint is replayed,
//!   so the counters of living values are not enough;
//! - living values (`SegmentUse`), and readers (`SegmentHold`);
//! - followers that lag: the caller names the lowest index that they may ask for.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::record::LogPosition;
use super::recovered::{Recovered, SegmentStart};
use super::start::{DurableEnd, LogStart};
use super::usage::{SegmentHold, SegmentUse, Usage};
use super::writer::LogWrite;
use crate::ids::{LogIndex, SegmentId, Term, WriteNumber};

/// What a segment file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentRole {
    /// Records of the log.
    Log,
    /// A checkpoint, with the large values that were moved into it.
    Checkpoint,
}

/// What is known of one segment.
#[derive(Debug)]
struct Segment {
    role: SegmentRole,
    /// The bytes of the file.
    bytes: u64,
    /// How the log in it begins; `None` until its first write, and for checkpoints.
    start: Option<SegmentStart>,
    /// The lowest and highest index ever written to it.
    entries: Option<(LogIndex, LogIndex)>,
    usage: Rc<Usage>,
    /// The bytes that the newest published checkpoint refers to.
    checkpoint_bytes: u64,
}

/// A segment that nobody needs, and whether its file can serve again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disposable {
    /// The segment.
    pub segment: SegmentId,
    /// A log segment of the ordinary size: rename it to a new id. Others are deleted.
    pub recycle: bool,
}

/// How much each segment is referred to by a checkpoint: summed while the checkpoint is written or loaded.
pub type CheckpointReferences = BTreeMap<SegmentId, u64>;

/// The newest published checkpoint.
#[derive(Clone, Copy, Debug)]
struct Published {
    segment: SegmentId,
    start: LogStart,
}

/// The segments of one shard.
#[derive(Debug)]
pub struct SegmentTable {
    segment_bytes: u64,
    segments: BTreeMap<SegmentId, Segment>,
    published: Option<Published>,
    /// Entries of writes up to this one are void; see [`LogStart::void_through`].
    void_through: WriteNumber,
    next_id: SegmentId,
}

impl SegmentTable {
    /// A table without segments. `segment_bytes` is the size of an ordinary log segment, `first` the first id to give out.
    pub fn new(segment_bytes: u64, first: SegmentId) -> Self {
        Self { segment_bytes, segments: BTreeMap::new(), published: None, void_through: WriteNumber(0), next_id: first }
    }

    /// The size of an ordinary log segment, in bytes; others are not used again.
    pub fn set_segment_bytes(&mut self, segment_bytes: u64) {
        self.segment_bytes = segment_bytes;
    }

    /// An id that no file of the shard had before.
    pub fn new_id(&mut self) -> SegmentId {
        let id = self.next_id;
        self.next_id.0 += 1;
        id
    }

    /// A file is there: a log segment, used or not, or a checkpoint.
    ///
    /// # Panics
    /// When the table has the id already.
    pub fn add(&mut self, segment: SegmentId, role: SegmentRole, bytes: u64) {
        let known =
            Segment { role, bytes, start: None, entries: None, usage: Usage::new(segment), checkpoint_bytes: 0 };
        assert!(self.segments.insert(segment, known).is_none(), "segment {segment} twice");
        self.next_id = self.next_id.max(SegmentId(segment.0 + 1));
    }

    /// A file of another table joins this one, with the values that refer to it. It has `bytes` bytes.
    ///
    /// # Panics
    /// When the other table does not have it, or this one does.
    pub fn adopt(&mut self, other: &mut SegmentTable, segment: SegmentId, bytes: u64) {
        let mut known = other.segments.remove(&segment).expect("a known segment");
        known.bytes = bytes;
        assert!(self.segments.insert(segment, known).is_none(), "segment {segment} twice");
        self.next_id = self.next_id.max(SegmentId(segment.0 + 1));
    }

    /// A file was deleted or renamed away.
    ///
    /// # Panics
    /// When something needs it still.
    pub fn remove(&mut self, segment: SegmentId) {
        let gone = self.segments.remove(&segment).expect("a known segment");
        assert!(gone.usage.values.get() == 0 && gone.usage.holds.get() == 0, "segment {segment} is gone, but used");
    }

    /// Takes over what recovery found out about the log's segments.
    pub fn recovered(&mut self, recovered: &Recovered) {
        for summary in &recovered.segments {
            let known = self.known_mut(summary.start.segment);
            known.start = Some(summary.start);
            known.entries = summary.entries;
        }
    }

    /// A write was planned.
    pub fn written(&mut self, write: &LogWrite) {
        let known = self.known_mut(write.segment);
        if let Some(previous_crc) = write.first_of_segment_after {
            known.start = Some(SegmentStart { segment: write.segment, first_write: write.write_number, previous_crc });
        }
        if let Some((low, high)) = write.entries {
            let (lowest, highest) = known.entries.unwrap_or((low, high));
            known.entries = Some((lowest.min(low), highest.max(high)));
        }
    }

    /// Where recovery begins for a checkpoint at this index of this log. `durable` is the writer's at that time.
    ///
    /// # Panics
    /// Before the first write of the log: there is no entry to make a checkpoint of.
    pub fn log_start(&self, index: LogIndex, term: Term, durable: DurableEnd) -> LogStart {
        // Not before the newest checkpoint's: what lies there may be let go of already.
        let from = self.published.map_or(SegmentId(0), |published| published.start.segment);
        let mut used = self.segments.range(from..).filter_map(|(_, known)| Some((known.start?, known.entries)));
        // The first that holds an entry beyond the checkpoint. Else the newest: what follows goes there or behind it.
        let beyond = used.clone().find(|(_, entries)| entries.is_some_and(|(_, high)| high > index));
        let (start, _) = beyond.or_else(|| used.next_back()).expect("a log with at least one write");
        LogStart {
            index,
            term,
            segment: start.segment,
            first_write: start.first_write,
            previous_crc: start.previous_crc,
            durable,
            void_through: if start.first_write <= self.void_through { self.void_through } else { WriteNumber(0) },
        }
    }

    /// A checkpoint is on disk under its name, or was found there at start.
    pub fn published(&mut self, segment: SegmentId, start: LogStart, references: &CheckpointReferences) {
        for known in self.segments.values_mut() {
            known.checkpoint_bytes = 0;
        }
        for (id, bytes) in references {
            self.known_mut(*id).checkpoint_bytes = *bytes;
        }
        if start.void_through > self.void_through {
            self.void_through = start.void_through;
            // No entry that was written before counts any more.
            self.segments.values_mut().for_each(|known| known.entries = None);
        }
        self.published = Some(Published { segment, start });
    }

    /// The newest published checkpoint: its file and its index.
    pub fn checkpoint(&self) -> Option<(SegmentId, LogIndex)> {
        self.published.map(|published| (published.segment, published.start.index))
    }

    /// Holds everything that the newest published checkpoint needs to be read: its file, and the segments it refers to.
    pub fn hold_checkpoint(&self) -> Vec<SegmentHold> {
        let Some(published) = &self.published else { return Vec::new() };
        let needed = self.segments.iter().filter(|(id, known)| **id == published.segment || known.checkpoint_bytes > 0);
        needed.map(|(_, known)| SegmentHold::new(Rc::clone(&known.usage))).collect()
    }

    /// A value that refers to these bytes now lives. `None` when there is no such segment, or it is too short: a reference from
    /// a damaged source.
    pub fn value(&self, position: LogPosition) -> Option<SegmentUse> {
        let known = self.segments.get(&position.segment)?;
        let end = position.offset.checked_add(position.bytes)?;
        (end <= known.bytes).then(|| SegmentUse::new(Rc::clone(&known.usage), position.offset, position.bytes))
    }

    /// Holds a segment for a reader; `None` when there is no such segment.
    pub fn hold(&self, segment: SegmentId) -> Option<SegmentHold> {
        self.segments.get(&segment).map(|known| SegmentHold::new(Rc::clone(&known.usage)))
    }

    /// The segments that nobody needs, oldest first. Followers may still ask for entries from `keep_from` on.
    pub fn disposable(&self, keep_from: LogIndex) -> Vec<Disposable> {
        let Some(published) = &self.published else {
            return Vec::new();
        };
        let unneeded = self.segments.iter().filter(|(id, known)| {
            self.is_behind(**id, known, published)
                && !(known.role == SegmentRole::Log && known.entries.is_some_and(|(_, high)| high >= keep_from))
                && known.checkpoint_bytes == 0
                && known.usage.values.get() == 0
                && known.usage.holds.get() == 0
        });
        let disposable = unneeded.map(|(id, known)| Disposable {
            segment: *id,
            recycle: known.role == SegmentRole::Log && known.bytes == self.segment_bytes,
        });
        disposable.collect()
    }

    /// The segments whose large values the next checkpoint is to take along: fewer than half of their bytes are live.
    /// The log from the next checkpoint's own start on cannot be among them, so it is judged by that start.
    pub fn sparse(&self, next: &LogStart) -> Vec<SegmentId> {
        let sparse = self.segments.iter().filter(|(id, known)| {
            let live = known.usage.live_bytes.get();
            let past = known.role == SegmentRole::Checkpoint || **id < next.segment;
            past && live > 0 && live < known.bytes / 2
        });
        sparse.map(|(id, _)| *id).collect()
    }

    /// The bytes of large values that live in a segment.
    pub fn live_bytes(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, |known| known.usage.live_bytes.get())
    }

    /// The bytes of large values that live in all segments.
    pub fn live_bytes_total(&self) -> u64 {
        self.segments.values().map(|known| known.usage.live_bytes.get()).sum()
    }

    /// What a segment is for.
    ///
    /// # Panics
    /// When the table does not have it.
    pub fn role(&self, segment: SegmentId) -> SegmentRole {
        self.segments[&segment].role
    }

    /// The bytes of one file; 0 if there is no such file.
    pub fn file_bytes(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, |known| known.bytes)
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|known| known.bytes).sum()
    }

    /// The bytes of files with this role.
    pub fn bytes_of(&self, role: SegmentRole) -> u64 {
        self.segments.values().filter(|known| known.role == role).map(|known| known.bytes).sum()
    }

    fn is_behind(&self, id: SegmentId, known: &Segment, published: &Published) -> bool {
        match known.role {
            // Segments that wait for their turn have higher ids than those in use; lower ones without a write were passed over.
            SegmentRole::Log => id < published.start.segment,
            SegmentRole::Checkpoint => id != published.segment && id < published.segment,
        }
    }

    fn known_mut(&mut self, segment: SegmentId) -> &mut Segment {
        self.segments.get_mut(&segment).unwrap_or_else(|| panic!("segment {segment} is not in the table"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    /// A log of four segments with two entries each, and their table.
    fn four_segments() -> (Disk, SegmentTable) {
        let mut disk = Disk::new(512, 1024);
        let mut table = SegmentTable::new(1024, SegmentId(1));
        for id in disk.segments.keys() {
            table.add(*id, SegmentRole::Log, 1024);
        }
        for index in 1..=8 {
            let write = disk.plan(&[entry(index, 1, &[1; 100])]);
            if !table.segments.contains_key(&write.segment) {
                table.add(write.segment, SegmentRole::Log, 1024);
            }
            table.written(&write);
            disk.apply(write);
        }
        assert_eq!(disk.segments.len(), 4);
        (disk, table)
    }

    fn publish(table: &mut SegmentTable, disk: &Disk, index: u64, references: &[(SegmentId, u64)]) -> SegmentId {
        let start = table.log_start(LogIndex(index), Term(1), disk.writer.durable_end());
        let id = table.new_id();
        table.add(id, SegmentRole::Checkpoint, 4096);
        table.published(id, start, &references.iter().copied().collect());
        id
    }

    fn ids(disposable: &[Disposable]) -> Vec<u64> {
        disposable.iter().map(|one| one.segment.0).collect()
    }

    const NOBODY: LogIndex = LogIndex(u64::MAX);

    #[test]
    fn a_checkpoint_frees_the_segments_that_lie_wholly_before_it() {
        let (disk, mut table) = four_segments();
        assert!(table.disposable(NOBODY).is_empty(), "nothing goes without a checkpoint");
        publish(&mut table, &disk, 5, &[]);
        assert_eq!(ids(&table.disposable(NOBODY)), [1, 2]);
        assert!(table.disposable(NOBODY).iter().all(|one| one.recycle));
        assert_eq!(ids(&table.disposable(LogIndex(4))), [1], "a follower may ask for entry 4");
        assert!(table.disposable(LogIndex(1)).is_empty());
    }

    #[test]
    fn recovery_from_the_start_that_the_table_gives_finds_the_rest() {
        let (disk, mut table) = four_segments();
        publish(&mut table, &disk, 5, &[]);
        let start = table.published.unwrap().start;
        let mut bytes = disk.segments.clone();
        for gone in table.disposable(NOBODY) {
            bytes.remove(&gone.segment);
        }
        let (events, recovered) = recover_bytes(&bytes, &start).unwrap();
        assert_eq!(replay(&events).0.keys().copied().collect::<Vec<_>>(), [5, 6, 7, 8]);
        let mut again = SegmentTable::new(1024, SegmentId(1));
        for id in bytes.keys() {
            again.add(*id, SegmentRole::Log, 1024);
        }
        again.recovered(&recovered);
        let (a, b) = (
            again.log_start(LogIndex(7), Term(1), disk.writer.durable_end()),
            table.log_start(LogIndex(7), Term(1), disk.writer.durable_end()),
        );
        assert_eq!(a, b);
    }

    #[test]
    fn values_holds_and_the_checkpoints_references_keep_a_segment() {
        let (disk, mut table) = four_segments();
        let at = |segment| LogPosition { segment: SegmentId(segment), offset: 100, bytes: 50 };
        let value = table.value(at(1)).unwrap();
        let hold = table.hold(SegmentId(2)).unwrap();
        publish(&mut table, &disk, 8, &[(SegmentId(3), 10)]);
        assert!(table.disposable(NOBODY).is_empty());
        drop(hold);
        assert_eq!(ids(&table.disposable(NOBODY)), [2]);
        let copy = value.clone();
        assert_eq!(table.live_bytes(SegmentId(1)), 100);
        drop(value);
        assert_eq!(ids(&table.disposable(NOBODY)), [2]);
        drop(copy);
        assert_eq!(ids(&table.disposable(NOBODY)), [1, 2]);
        publish(&mut table, &disk, 8, &[]);
        assert_eq!(ids(&table.disposable(NOBODY)), [1, 2, 3, 5], "the older checkpoint goes too");
        table.remove(SegmentId(1));
        assert!(table.value(at(1)).is_none());
    }

    #[test]
    fn oversized_segments_and_checkpoints_are_deleted_not_recycled() {
        let (mut disk, mut table) = four_segments();
        let write = disk.plan(&[entry(9, 1, &[9; 5000])]);
        table.add(write.segment, SegmentRole::Log, disk.segments[&write.segment].len() as u64);
        table.written(&write);
        disk.apply(write);
        let write = disk.plan(&[entry(10, 1, &[9; 600])]);
        table.add(write.segment, SegmentRole::Log, 1024);
        table.written(&write);
        disk.apply(write);
        publish(&mut table, &disk, 10, &[]);
        publish(&mut table, &disk, 10, &[]);
        let recycle: Vec<_> = table.disposable(NOBODY).iter().map(|one| (one.segment.0, one.recycle)).collect();
        assert_eq!(recycle, [(1, true), (2, true), (3, true), (4, true), (5, false), (7, false)]);
    }

    /// Found by the voters' chaos: a member's own checkpoint after a snapshot began its log at a segment whose first half was void,
    /// and did not say so; the gap in its indexes looked like damage.
    #[test]
    fn what_a_snapshot_voided_stays_void_for_later_checkpoints_of_the_same_segment() {
        let mut disk = Disk::new(512, 8192);
        let mut table = SegmentTable::new(8192, SegmentId(1));
        table.add(SegmentId(1), SegmentRole::Log, 8192);
        let append = |disk: &mut Disk, table: &mut SegmentTable, index, term| {
            let write = disk.plan(&[entry(index, term, b"x")]);
            table.written(&write);
            disk.apply(write);
        };
        for index in 1..=9 {
            append(&mut disk, &mut table, index, 1);
        }
        let start = disk.writer.superseding_start(LogIndex(5), Term(2));
        disk.writer.supersede(&start);
        table.add(SegmentId(2), SegmentRole::Checkpoint, 4096);
        table.published(SegmentId(2), start, &CheckpointReferences::new());
        append(&mut disk, &mut table, 6, 2);
        append(&mut disk, &mut table, 7, 2);
        let later = table.log_start(LogIndex(6), Term(2), disk.writer.durable_end());
        assert_eq!(table.segments[&SegmentId(1)].entries, Some((LogIndex(6), LogIndex(7))));
        let (events, recovered) = recover_bytes(&disk.segments, &later).unwrap();
        assert_eq!(replay(&events).0.keys().copied().collect::<Vec<_>>(), [6, 7]);
        assert_eq!(recovered.last_term, Term(2));
    }

    /// Found by the voters' chaos: entries that a snapshot had voided, with indexes above the snapshot's, made the next checkpoint's log
    /// begin in a segment that was free to serve again, and did.
    #[test]
    fn after_a_snapshot_no_log_begins_in_a_segment_from_before_it() {
        let (mut disk, mut table) = four_segments();
        let start = disk.writer.superseding_start(LogIndex(3), Term(2));
        disk.writer.supersede(&start);
        let id = table.new_id();
        table.add(id, SegmentRole::Checkpoint, 4096);
        table.published(id, start, &CheckpointReferences::new());
        assert_eq!(ids(&table.disposable(NOBODY)), [1, 2, 3]);
        let later = table.log_start(LogIndex(4), Term(2), disk.writer.durable_end());
        assert_eq!(later.segment, SegmentId(4));
    }

    #[test]
    fn sparse_segments_are_those_less_than_half_live() {
        let (disk, table) = four_segments();
        let use_bytes =
            |segment, bytes| table.value(LogPosition { segment: SegmentId(segment), offset: 0, bytes }).unwrap();
        let _values = [use_bytes(1, 511), use_bytes(2, 512), use_bytes(4, 10)];
        let next = table.log_start(LogIndex(8), Term(1), disk.writer.durable_end());
        assert_eq!(table.sparse(&next), [SegmentId(1)], "2 is half live, 3 is dead, 4 is the log's end");
    }

    #[test]
    fn references_beyond_a_segment_are_refused() {
        let (_, table) = four_segments();
        let at = |offset, bytes| table.value(LogPosition { segment: SegmentId(1), offset, bytes });
        assert!(at(1000, 24).is_some());
        assert!(at(1000, 25).is_none());
        assert!(at(u64::MAX, 2).is_none());
    }
}
