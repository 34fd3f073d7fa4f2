//! The disk of one shard of one node: segments as bytes, the log write on its way to them, a checkpoint that has no name yet.

use crate::dice::Dice;
use ringkeep_shards::FoundFile;
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use ringkeep_shards::log::{LogWrite, Recovered, SegmentRole};
use ringkeep_shards::port::{CheckpointOrder, Input, SegmentWanted};
use std::collections::{BTreeMap, BTreeSet};

/// What a disk writes as a whole or not at all, if it keeps its word.
pub const SECTOR_BYTES: usize = 512;

/// It outlives crashes.
#[derive(Default)]
pub struct Disk {
    segments: BTreeMap<SegmentId, (SegmentRole, Vec<u8>)>,
    unfinished: Vec<u8>,
    writing: Option<LogWrite>,
    /// What was brought into memory; all else is cold.
    resident: BTreeSet<(SegmentId, u64, usize)>,
    /// Whether ranges must be brought in at all.
    pub forgetful: bool,
    /// Whether no segment can be made and no checkpoint written.
    pub full: bool,
}

/// What a crash left of the write that was on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Torn {
    /// There was none.
    Nothing,
    /// So many bytes from its start.
    Prefix(usize, usize),
    /// Some of its sectors: disks reorder what was not flushed.
    Sectors(usize, usize),
}

impl Disk {
    /// A segment for the log: of zeros, or one that was used before under another name.
    pub fn add(&mut self, wanted: SegmentWanted) {
        let bytes = match wanted.recycle {
            Some(old) => self.segments.remove(&old).expect("it was there").1,
            None => vec![0; wanted.bytes as usize],
        };
        let twice = self.segments.insert(wanted.segment, (SegmentRole::Log, bytes));
        assert!(twice.is_none(), "segment {} twice", wanted.segment);
    }

    pub fn remove(&mut self, segment: SegmentId) {
        self.segments.remove(&segment).expect("it was there");
    }

    /// Does a step of a checkpoint; what the shard is to be told.
    pub fn checkpoint(&mut self, order: CheckpointOrder) -> Option<Input<'static>> {
        match order {
            CheckpointOrder::Begin { .. } | CheckpointOrder::Drop { .. } => {
                self.unfinished.clear();
                None
            }
            CheckpointOrder::Write { chunk } if self.full => Some(Input::CheckpointFailed(chunk.segment)),
            CheckpointOrder::Write { chunk } => {
                self.unfinished.extend_from_slice(&chunk.buffer);
                Some(Input::CheckpointWritten(chunk))
            }
            CheckpointOrder::BringIn { range } => {
                self.bring_in(range);
                Some(Input::CheckpointWarm)
            }
            CheckpointOrder::Publish { segment } => {
                let bytes = std::mem::take(&mut self.unfinished);
                self.segments.insert(segment, (SegmentRole::Checkpoint, bytes));
                Some(Input::CheckpointPublished(segment))
            }
        }
    }

    /// Takes a write on.
    pub fn begin(&mut self, write: LogWrite) {
        assert!(self.writing.is_none(), "one write in flight per log");
        self.writing = Some(write);
    }

    /// The write on its way is durable now.
    pub fn complete(&mut self) -> LogWrite {
        let write = self.writing.take().expect("a write was begun");
        let segment = self.segment(&write);
        segment[write.offset as usize..][..write.buffer.len()].copy_from_slice(&write.buffer);
        write
    }

    fn segment(&mut self, write: &LogWrite) -> &mut Vec<u8> {
        &mut self.segments.get_mut(&write.segment).expect("the log writes to its segments").1
    }

    /// Power is cut: of the write on its way some may be there.
    pub fn crash(&mut self, dice: &mut Dice) -> Torn {
        self.resident.clear();
        self.unfinished.clear();
        let Some(write) = self.writing.take() else { return Torn::Nothing };
        let len = write.buffer.len();
        let start = write.offset as usize;
        let segment = self.segment(&write);
        if dice.permille(500) {
            let there = match dice.below(4) {
                0 => 0,
                1 => len,
                2 => len / SECTOR_BYTES * SECTOR_BYTES,
                _ => dice.below(len as u64 + 1) as usize,
            };
            segment[start..][..there].copy_from_slice(&write.buffer[..there]);
            return Torn::Prefix(there, len);
        }
        let mut there = 0;
        for at in (0..len).step_by(SECTOR_BYTES) {
            if dice.permille(500) {
                let end = (at + SECTOR_BYTES).min(len);
                segment[start + at..start + end].copy_from_slice(&write.buffer[at..end]);
                there += end - at;
            }
        }
        Torn::Sectors(there, len)
    }

    /// The files, as recovery wants them.
    pub fn files(&self) -> Vec<FoundFile<'_>> {
        self.segments.iter().map(|(&segment, (role, bytes))| FoundFile { segment, role: *role, bytes }).collect()
    }

    /// Does what recovery asks for: what a torn write left is zeroed.
    pub fn mend(&mut self, recovered: &Recovered) {
        for range in &recovered.torn {
            let (_, segment) = self.segments.get_mut(&range.segment).expect("a segment that was recovered");
            segment[range.offset as usize..][..range.bytes as usize].fill(0);
        }
    }

    pub fn bring_in(&mut self, range: ColdRange) {
        self.resident.insert((range.segment, range.offset, range.len));
    }

    /// The system has taken the memory back.
    pub fn forget(&mut self) {
        self.resident.clear();
    }

    fn range(&self, range: ColdRange) -> &[u8] {
        &self.segments[&range.segment].1[range.offset as usize..][..range.len]
    }
}

impl Segments for Disk {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        let end = range.offset + range.len as u64;
        let holds = |&(segment, offset, len): &(SegmentId, u64, usize)| {
            segment == range.segment && offset <= range.offset && end <= offset + len as u64
        };
        let there = !self.forgetful || self.resident.iter().any(holds);
        there.then(|| self.range(range))
    }
}

/// A disk from which everything can be read at once.
pub struct AllResident<'a>(pub &'a Disk);

impl Segments for AllResident<'_> {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        Some(self.0.range(range))
    }
}
