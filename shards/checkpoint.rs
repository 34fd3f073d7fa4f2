//! A checkpoint in the making: the state at one entry, pinned, walked in slices, written in the background, published once that
//! entry is committed.
//!
//! ```text
//!  pin ─► walk a slice ─► chunk ─► (disk) ─► walk ... ─► end of walk: the pin goes ─► last chunk written
//!                                                        and the entry committed ─► publish ─► older segments go
//! ```
//!
//! Small values are in it; large ones are referred to where they lie, but for those in segments that are mostly dead, which come along so that
//! their segments can go.

use crate::ids::{Batch, SegmentId, Timestamp};
use crate::keyspace::{
    ColdRange, DatabaseIndex, Effect, Keyspace, LargeString, Segments, Value, WalkPosition, put_head,
};
use crate::log::{
    CHECKPOINT_BATCH_BYTES_MAX, CHECKPOINT_CHUNK_BYTES, CheckpointBase, CheckpointChunk, CheckpointReferences,
    CheckpointSummary, CheckpointWriter, LogIdentity, LogPosition, LogStart,
};
use crate::port::CheckpointOrder;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Bytes that the walk may be ahead of the disk. A chunk is handed out once its records are laid out: the record that is gathered comes
/// on top of it.
const PENDING_BYTES_MAX: usize = 2 * CHECKPOINT_CHUNK_BYTES;

const _: () = assert!(PENDING_BYTES_MAX >= CHECKPOINT_CHUNK_BYTES + CHECKPOINT_BATCH_BYTES_MAX);

/// A checkpoint in the making.
pub(crate) struct CheckpointRun {
    segment: SegmentId,
    start: LogStart,
    /// The batch that the state ends with: it must be committed before the file counts.
    batch: Batch,
    pin: Option<Timestamp>,
    place: Option<WalkPosition>,
    writer: CheckpointWriter,
    /// A chunk is with the shell.
    writing: bool,
    references: CheckpointReferences,
    /// Segments whose values come along, oldest first.
    sparse: Vec<SegmentId>,
    /// Values that the last slice met and that come along, to be read one at a time.
    to_move: VecDeque<(DatabaseIndex, Vec<u8>, u64, Rc<LargeString>)>,
    /// Where the values that came along lie.
    moved: Vec<(Weak<LargeString>, LogPosition)>,
    /// What the walk waits for.
    cold: Option<ColdRange>,
    summary: Option<CheckpointSummary>,
    publishing: bool,
    /// When it began, in Unix milliseconds.
    pub(crate) began_ms: u64,
    /// `log_bytes` of the shard's stats when it began.
    pub(crate) log_bytes: u64,
    /// How often keys had been changed when it began.
    pub(crate) changes: u64,
}

/// What a run begins with.
pub(crate) struct CheckpointBegin {
    pub(crate) identity: LogIdentity,
    pub(crate) start: LogStart,
    pub(crate) batch: Batch,
    pub(crate) meta: Vec<u8>,
    pub(crate) began_ms: u64,
    pub(crate) log_bytes: u64,
    pub(crate) changes: u64,
    /// Bytes of large values that may come along: the disk must have room for them twice.
    pub(crate) move_bytes_max: u64,
}

impl CheckpointRun {
    /// Pins the state after the last closed batch, which must be the last of the log so far.
    pub(crate) fn begin(begin: CheckpointBegin, keyspace: &mut Keyspace) -> (Self, CheckpointOrder) {
        let CheckpointBegin { identity, start, batch, meta, began_ms, log_bytes, changes, move_bytes_max } = begin;
        let pin = keyspace.pin();
        let segment = keyspace.segments_mut().new_id();
        let mut sparse = keyspace.segments().sparse(&start);
        let mut moved_bytes = 0;
        sparse.retain(|segment| {
            moved_bytes += keyspace.segments().live_bytes(*segment);
            moved_bytes <= move_bytes_max
        });
        let writer = CheckpointWriter::new(identity, segment, CheckpointBase { start, commit_ts: pin, meta });
        let run = CheckpointRun {
            segment,
            start,
            batch,
            pin: Some(pin),
            place: Some(WalkPosition::default()),
            writer,
            writing: false,
            references: CheckpointReferences::new(),
            sparse,
            to_move: VecDeque::new(),
            moved: Vec::new(),
            cold: None,
            summary: None,
            publishing: false,
            began_ms,
            log_bytes,
            changes,
        };
        (run, CheckpointOrder::Begin { segment })
    }

    /// Its file.
    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Whether [`CheckpointRun::advance`] has something to walk over now.
    pub(crate) fn can_walk(&self) -> bool {
        let more = self.place.is_some() || !self.to_move.is_empty();
        more && self.cold.is_none() && self.writer.pending_bytes() < PENDING_BYTES_MAX
    }

    /// Walks a slice, if there is room for it; hands out a chunk, or the order to publish.
    pub(crate) fn advance(
        &mut self,
        keyspace: &mut Keyspace,
        segments: &dyn Segments,
        committed: Batch,
        orders: &mut Vec<CheckpointOrder>,
    ) {
        if self.can_walk() {
            if !self.to_move.is_empty() {
                self.move_one(segments, orders);
            } else if let (Some(place), Some(pin)) = (self.place, self.pin) {
                self.walk(keyspace, pin, place);
            }
            if self.place.is_none() && self.to_move.is_empty() && self.summary.is_none() {
                self.summary = Some(self.writer.finish());
                self.end_pin(keyspace);
            }
        }
        if !self.writing
            && let Some(chunk) = self.writer.take_chunk()
        {
            self.writing = true;
            orders.push(CheckpointOrder::Write { chunk });
        }
        if !self.writing && !self.publishing && self.summary.is_some() && committed >= self.batch {
            self.publishing = true;
            orders.push(CheckpointOrder::Publish { segment: self.segment });
        }
    }

    fn walk(&mut self, keyspace: &Keyspace, pin: Timestamp, place: WalkPosition) {
        let CheckpointRun { writer, references, sparse, to_move, .. } = self;
        let mut item = Vec::new();
        self.place = keyspace.walk(pin, place, &mut |db, key, value, expires_ms| {
            item.clear();
            if let Value::Large(string) = value {
                match string.place() {
                    Some(at) if sparse.binary_search(&at.segment).is_err() => {
                        let (segment, offset) = (at.segment.0, at.offset);
                        Effect::PutReference { db, key, expires_ms, segment, offset, len: at.bytes }.encode(&mut item);
                        writer.push(&item);
                        *references.entry(at.segment).or_default() += at.bytes;
                    }
                    _ => to_move.push_back((db, key.to_vec(), expires_ms, string.clone())),
                }
                return;
            }
            let bytes = value.bytes(&NoSegments).unwrap_or_else(|range| panic!("{range:?} of a value in memory"));
            Effect::Put { db, key, value: &bytes, expires_ms }.encode(&mut item);
            writer.push(&item);
        });
    }

    /// Takes one large value along; asks for it if it is cold.
    fn move_one(&mut self, segments: &dyn Segments, orders: &mut Vec<CheckpointOrder>) {
        let Some((db, key, expires_ms, string)) = self.to_move.front() else { return };
        let value = match (string.memory(), string.place()) {
            (Some(bytes), _) => bytes,
            (None, Some(at)) => {
                let range = ColdRange { segment: at.segment, offset: at.offset, len: string.len() };
                match segments.resident(range) {
                    Some(bytes) => bytes::Bytes::copy_from_slice(bytes),
                    None => {
                        self.cold = Some(range);
                        orders.push(CheckpointOrder::BringIn { range });
                        return;
                    }
                }
            }
            (None, None) => panic!("a large string is in memory or has a place"),
        };
        let mut head = Vec::new();
        put_head(&mut head, *db, key, *expires_ms, value.len());
        let at = self.writer.push_with_value(&head, value);
        self.moved.push((Rc::downgrade(string), at));
        *self.references.entry(at.segment).or_default() += at.bytes;
        self.to_move.pop_front();
    }

    /// What [`CheckpointOrder::BringIn`] asked for is in memory.
    pub(crate) fn brought_in(&mut self) {
        self.cold = None;
    }

    /// A chunk is on disk.
    pub(crate) fn written(&mut self, chunk: CheckpointChunk) {
        assert!(std::mem::take(&mut self.writing), "a chunk was with the shell");
        self.writer.give_back(chunk);
    }

    /// The file has its name. What is in it counts from now on; returns what it amounts to.
    pub(crate) fn published(self, keyspace: &mut Keyspace) -> CheckpointSummary {
        let summary = self.summary.expect("it was finished before it was published");
        let table = keyspace.segments_mut();
        table.add(self.segment, crate::log::SegmentRole::Checkpoint, summary.file_bytes);
        table.published(self.segment, self.start, &self.references);
        for (string, at) in self.moved {
            if let Some(string) = string.upgrade() {
                string.put_at(table.value(at).expect("the checkpoint holds it"));
            }
        }
        summary
    }

    /// It is given up; nothing of it counts.
    pub(crate) fn drop_run(mut self, keyspace: &mut Keyspace) -> CheckpointOrder {
        self.end_pin(keyspace);
        CheckpointOrder::Drop { segment: self.segment }
    }

    fn end_pin(&mut self, keyspace: &mut Keyspace) {
        if let Some(pin) = self.pin.take() {
            keyspace.unpin(pin);
        }
    }
}

/// Values in memory need no segment.
struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}
