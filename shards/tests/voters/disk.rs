//! One member's disk: segments as bytes, and the log write that is on its way to them.

use ringkeep_shards::FoundFile;
use ringkeep_shards::command::Entropy;
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use ringkeep_shards::log::{LogWrite, Recovered, SegmentRole};
use ringkeep_shards::port::{CheckpointOrder, Input, SegmentWanted};
use std::collections::{BTreeMap, BTreeSet};

/// What a crash writes of the write in flight: whole blocks of this many bytes, from its start.
const BLOCK_BYTES: usize = 512;

/// The disk of one member. It outlives crashes.
#[derive(Default)]
pub struct Disk {
    segments: BTreeMap<SegmentId, (SegmentRole, Vec<u8>)>,
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
        self.put(&write, write.buffer.len());
        Some(write)
    }

    /// Power is cut: of the write on its way a prefix is there, maybe nothing, maybe all of it.
    pub fn crash(&mut self, random: &mut Entropy) {
        self.resident.clear();
        self.unfinished.clear();
        if let Some(write) = self.writing.take() {
            let blocks = write.buffer.len() / BLOCK_BYTES;
            let there = random.next_u64() as usize % (blocks + 1);
            self.torn += usize::from(there < blocks);
            self.put(&write, there * BLOCK_BYTES);
        }
    }

    fn put(&mut self, write: &LogWrite, bytes: usize) {
        let (_, segment) = self.segments.get_mut(&write.segment).expect("the log writes to its segments");
        segment[write.offset as usize..][..bytes].copy_from_slice(&write.buffer[..bytes]);
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
