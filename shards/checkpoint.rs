//! A checkpoint in the making: the state at one entry, pinned, walked in slices, written in the background, published once that
//! entry is committed.
//!
//! ```text
//!  pin ─► walk a slice ─► chunk ─► (disk) ─► walk ... ─► end of walk: the pin goes ─► last chunk written
//!                                                        and the entry committed ─► publish ─► older segments go
//! ```
//!
//! Libraries of functions and small values are in it; large ones are referred to where they lie, but for those in segments that are mostly dead, which come along so that
//! their segments can go.

use crate::ids::{Batch, SegmentId, Timestamp};
use crate::keyspace::{
    ColdRange, DatabaseIndex, Effect, Keyspace, LargeString, LibrarySet, Segments, Value, WalkPosition, put_head,
};
use crate::limits::{CHECKPOINT_BATCH_BYTES_MAX, CHECKPOINT_PENDING_BYTES_MAX};
use crate::log::{
    CheckpointBase, CheckpointChunk, CheckpointReferences, CheckpointSummary, CheckpointWriter, LogIdentity,
    LogPosition, LogStart,
};
use crate::port::CheckpointOrder;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

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
    /// Values that the last slice met and that come along, to be taken one at a time.
    to_take: VecDeque<ToTake>,
    /// The libraries of that state which are not written yet, by name.
    libraries: LibrarySet,
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

/// A long value that comes along.
struct ToTake {
    db: DatabaseIndex,
    key: Vec<u8>,
    expires_ms: u64,
    /// None for a string that is in memory alone (APPEND or SETRANGE works on it): it is read at the pin when its turn comes.
    large: Option<Rc<LargeString>>,
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
            to_take: VecDeque::new(),
            libraries: LibrarySet::clone(keyspace.libraries_at_tip()),
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
        let more = self.place.is_some() || !self.to_take.is_empty();
        more && self.cold.is_none() && self.writer.pending_bytes() < CHECKPOINT_PENDING_BYTES_MAX
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
            if let Some((name, code)) = self.libraries.pop_first() {
                let mut item = Vec::new();
                Effect::LibraryPut { name: &name, code: &code }.encode(&mut item);
                self.writer.push(&item);
            } else if !self.to_take.is_empty() {
                self.take_one(keyspace, segments, orders);
            } else if let (Some(place), Some(pin)) = (self.place, self.pin) {
                self.walk(keyspace, pin, place);
            }
            if self.place.is_none() && self.to_take.is_empty() && self.libraries.is_empty() && self.summary.is_none() {
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
        let CheckpointRun { writer, references, sparse, to_take, .. } = self;
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
                    _ => to_take.push_back(ToTake { db, key: key.to_vec(), expires_ms, large: Some(string.clone()) }),
                }
                return;
            }
            if value.len() > CHECKPOINT_BATCH_BYTES_MAX {
                return to_take.push_back(ToTake { db, key: key.to_vec(), expires_ms, large: None });
            }
            let bytes = value.bytes(&NoSegments).unwrap_or_else(|range| panic!("{range:?} of a value in memory"));
            Effect::Put { db, key, value: &bytes, expires_ms }.encode(&mut item);
            writer.push(&item);
        });
    }

    /// Takes one long value along; asks for it if it is cold.
    fn take_one(&mut self, keyspace: &Keyspace, segments: &dyn Segments, orders: &mut Vec<CheckpointOrder>) {
        let Some(ToTake { db, key, expires_ms, large }) = self.to_take.front() else { return };
        let value = match large.as_ref().map(|string| (string.memory(), string.place(), string.len())) {
            None => {
                let pin = self.pin.expect("the state is pinned until all of it is written");
                let held = keyspace.at(*db, key, pin).expect("the walk met it");
                held.value().clone().into_bytes()
            }
            Some((Some(bytes), ..)) => bytes,
            Some((None, Some(at), len)) => {
                let range = ColdRange { segment: at.segment, offset: at.offset, len };
                match segments.resident(range) {
                    Some(bytes) => bytes::Bytes::copy_from_slice(bytes),
                    None => {
                        self.cold = Some(range);
                        orders.push(CheckpointOrder::BringIn { range });
                        return;
                    }
                }
            }
            Some((None, None, _)) => panic!("a large string is in memory or has a place"),
        };
        let mut head = Vec::new();
        put_head(&mut head, *db, key, *expires_ms, value.len());
        let at = self.writer.push_with_value(&head, value);
        if let Some(string) = large {
            self.moved.push((Rc::downgrade(string), at));
            *self.references.entry(at.segment).or_default() += at.bytes;
        }
        self.to_take.pop_front();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;
    use crate::keyspace::{Effects, NewValue};
    use crate::log::Checkpoint;

    #[test]
    fn long_strings_that_are_in_memory_alone_come_along_one_at_a_time_as_they_were() {
        let long = vec![b'x'; 400 << 10];
        let mut keyspace = Keyspace::new(3, 1 << 10);
        for n in 0..20u8 {
            keyspace.put(0, &[n], NewValue::Bytes(b"the start"), 0);
            keyspace.append(0, &[n], &long);
        }
        keyspace.close_batch();
        let identity = LogIdentity { shard: ShardId(0), salt: 1 };
        let begin = CheckpointBegin {
            identity,
            start: LogStart::empty(SegmentId(1)),
            batch: Batch(1),
            meta: Vec::new(),
            began_ms: 0,
            log_bytes: 0,
            changes: 0,
            move_bytes_max: 0,
        };
        let (mut run, _) = CheckpointRun::begin(begin, &mut keyspace);
        let (mut file, mut orders, mut turn) = (Vec::new(), Vec::new(), 0u8);
        while !run.publishing {
            run.advance(&mut keyspace, &NoSegments, Batch(1), &mut orders);
            assert!(
                run.writer.pending_bytes() < CHECKPOINT_PENDING_BYTES_MAX + long.len() + CHECKPOINT_BATCH_BYTES_MAX
            );
            for order in orders.drain(..) {
                if let CheckpointOrder::Write { chunk, .. } = order {
                    file.extend_from_slice(&chunk.buffer);
                    run.written(chunk);
                }
            }
            if turn < 20 {
                if keyspace.read(0, &[turn]).is_some() {
                    keyspace.append(0, &[turn], b"more");
                }
                keyspace.remove(0, &[19 - turn / 2]);
                keyspace.close_batch();
            }
            turn = turn.saturating_add(1);
        }
        let checkpoint = Checkpoint::read(identity, run.segment, &file).expect("it is whole");
        assert_eq!(checkpoint.item_count(), 20);
        for (_, item) in checkpoint.items() {
            let Some(Ok(Effect::Put { value, .. })) = Effects::new(item).next() else { panic!("a string") };
            assert!(value.starts_with(b"the start") && value.len() == 9 + long.len());
        }
    }
}
