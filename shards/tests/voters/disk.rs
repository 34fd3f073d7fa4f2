//! One member's disk: segments as bytes, and the log write that is on its way to them. The simulator has the same one.

use ringkeep_shards::FoundFile;
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use ringkeep_shards::log::{LogWrite, Recovered, SegmentRole};
use ringkeep_shards::port::{CheckpointOrder, Input, SegmentWanted};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a disk writes as a whole, if it keeps its word.
const SECTOR_BYTES: usize = 512;

/// What a crash left of the write that was on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Torn {
    /// There was none.
    Nothing,
    /// So many bytes of so many, from its start.
    Prefix(usize, usize),
    /// So many bytes of so many, in some of its sectors: disks reorder what was not flushed.
    Sectors(usize, usize),
}

/// Segments with their bytes.
pub type Files = BTreeMap<SegmentId, (SegmentRole, Vec<u8>)>;

/// The disk of one member. It outlives crashes.
#[derive(Default)]
pub struct Disk {
    segments: Files,
    /// A checkpoint that has no name yet.
    unfinished: Vec<u8>,
    writing: Option<LogWrite>,
    /// Whether writes are held back until the test lets them go.
    pub held: bool,
    /// Whether ranges of segments must be brought into memory before they can be read.
    pub forgetful: bool,
    resident: BTreeSet<(SegmentId, u64, usize)>,
    /// Whether checkpoints cannot be written.
    pub full: bool,
    /// How many writes were lost or torn by crashes.
    pub torn: usize,
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

    /// Removes a file.
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

    /// Takes a write on; it is durable when [`Disk::complete`] says so.
    pub fn begin(&mut self, write: LogWrite) {
        assert!(self.writing.is_none(), "one write in flight per log");
        self.writing = Some(write);
    }

    /// Whether a write is on its way.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// The write on its way is durable now.
    pub fn complete(&mut self) -> Option<LogWrite> {
        let write = self.writing.take()?;
        self.put(&write, 0..write.buffer.len());
        Some(write)
    }

    /// What it holds now.
    pub fn image(&self) -> Files {
        self.segments.clone()
    }

    /// It goes back to what it once held: no disk should.
    pub fn go_back_to(&mut self, image: Files) {
        self.segments = image;
    }

    /// What the write on its way will overwrite: where, and what is there.
    pub fn overwritten(&self) -> Option<(SegmentId, u64, Vec<u8>)> {
        let write = self.writing.as_ref()?;
        let there = &self.segments.get(&write.segment)?.1[write.offset as usize..][..write.buffer.len()];
        Some((write.segment, write.offset, there.to_vec()))
    }

    /// Puts back what was there before a write, if its file still is.
    pub fn put_back(&mut self, (segment, offset, bytes): (SegmentId, u64, Vec<u8>)) {
        if let Some((_, file)) = self.segments.get_mut(&segment) {
            file[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// Power is cut: of the write on its way a prefix is there, or some sectors, maybe nothing, maybe all of it. `below` gives a number
    /// below the one that it is given.
    pub fn crash(&mut self, below: &mut dyn FnMut(usize) -> usize) -> Torn {
        self.resident.clear();
        self.unfinished.clear();
        let Some(write) = self.writing.take() else { return Torn::Nothing };
        let len = write.buffer.len();
        let (torn, there) = if below(2) == 0 {
            let there = match below(4) {
                0 => 0,
                1 => len,
                2 => below(len / SECTOR_BYTES + 1) * SECTOR_BYTES,
                _ => below(len + 1),
            };
            self.put(&write, 0..there);
            (Torn::Prefix(there, len), there)
        } else {
            let mut there = 0;
            for start in (0..len).step_by(SECTOR_BYTES) {
                if below(2) == 0 {
                    let sector = start..(start + SECTOR_BYTES).min(len);
                    there += sector.len();
                    self.put(&write, sector);
                }
            }
            (Torn::Sectors(there, len), there)
        };
        self.torn += usize::from(there < len);
        torn
    }

    fn put(&mut self, write: &LogWrite, part: Range<usize>) {
        let (_, segment) = self.segments.get_mut(&write.segment).expect("the log writes to its segments");
        segment[write.offset as usize..][part.clone()].copy_from_slice(&write.buffer[part]);
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

    /// Brings a range into memory.
    pub fn bring_in(&mut self, range: ColdRange) {
        self.resident.insert((range.segment, range.offset, range.len));
    }

    /// Forgets what was brought in.
    pub fn forget(&mut self) {
        self.resident.clear();
    }

    /// The bytes of a range, brought in or not.
    pub fn range(&self, range: ColdRange) -> &[u8] {
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
