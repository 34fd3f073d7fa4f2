//! What recovery tells and returns.

use std::fmt;

use super::fault::Corruption;
use super::record::RecordView;
use super::start::LogStart;
use crate::ids::{LogIndex, SegmentId, Term, WriteNumber};

/// What recovery tells while it reads, in the order of the log.
#[derive(Clone, Copy, Debug)]
pub enum LogEvent<'a> {
    /// An entry follows those told so far. Its index may be at or below the checkpoint's.
    Entry(RecordView<'a>),
    /// The hard state in force from here on.
    HardState(RecordView<'a>),
    /// Raft replaced a suffix: the entries told so far with this index or a higher one are void.
    Truncate(LogIndex),
    /// The log ends before the checkpoint (others had made its entries durable): the entries told so far are void.
    Superseded,
}

/// A hard state as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardStateRecord {
    /// Its term.
    pub term: Term,
    /// Its bytes. The commit index in them may be above the last index found: a torn write loses entries, not the hard state
    /// before them.
    pub body: Vec<u8>,
}

/// How a segment begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentStart {
    /// The file.
    pub segment: SegmentId,
    /// The number of its first write.
    pub first_write: WriteNumber,
    /// The checksum of the record before that write.
    pub previous_crc: u32,
}

/// Everything that a writer needs to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The segment being filled; when none is, where the log starts.
    pub start: SegmentStart,
    /// The size of the segment being filled; 0 when none is.
    pub segment_bytes: u64,
    /// Where the next write goes, yet to be rounded up to the disk's block.
    pub offset: u64,
    /// The checksum of the last record.
    pub previous_crc: u32,
    /// The last write of which a record counts.
    pub last_write: WriteNumber,
    /// How many records that write lost; 0 for a whole one.
    pub cut_records: u32,
    /// The index of the last entry: durable, once the tail was made so.
    pub last_index: LogIndex,
    /// The term of the last entry.
    pub last_term: Term,
    /// The last hard state.
    pub hard_state: Option<HardStateRecord>,
}

impl ResumePoint {
    /// The resume point of a log that has no segment yet.
    pub fn empty(start: &LogStart) -> Self {
        Self {
            start: SegmentStart {
                segment: start.segment,
                first_write: start.first_write,
                previous_crc: start.previous_crc,
            },
            segment_bytes: 0,
            offset: 0,
            previous_crc: start.previous_crc,
            last_write: WriteNumber(start.first_write.0 - 1),
            cut_records: 0,
            last_index: start.index,
            last_term: start.term,
            hard_state: None,
        }
    }
}

/// Bytes of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// The file.
    pub segment: SegmentId,
    /// The first byte; not aligned to anything but 8.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

/// What a used segment holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentSummary {
    /// How it begins.
    pub start: SegmentStart,
    /// The size of the file.
    pub bytes: u64,
    /// Where the last write in it ends.
    pub used_bytes: u64,
    /// How many records count.
    pub records: u64,
    /// The lowest and highest index of its entries, replaced ones included, void ones not.
    pub entries: Option<(LogIndex, LogIndex)>,
}

/// A log that was read to its end. Before serving, the shell must zero `torn` and make it and `sync` durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last entry, or the checkpoint's index when that is higher.
    pub last_index: LogIndex,
    /// Its term.
    pub last_term: Term,
    /// Where and how the writer goes on.
    pub resume: ResumePoint,
    /// What a torn write left: to be overwritten with zeros, durably, before the next write.
    pub torn: Vec<ByteRange>,
    /// Segments whose last bytes may be in the page cache only: to be synced (data) before serving.
    pub sync: Vec<SegmentId>,
    /// The segments in use, in order.
    pub segments: Vec<SegmentSummary>,
    /// Segments without a record, in order. Those above the one being filled can be given to the writer as they are, the others
    /// only under a new id.
    pub unused: Vec<SegmentId>,
    /// How many records count.
    pub records: u64,
    /// How many of them are entries.
    pub entries: u64,
    /// The bytes of their bodies.
    pub body_bytes: u64,
}

/// Why a log could not be recovered.
#[derive(Debug)]
pub enum RecoveryError<E> {
    /// What was durable is damaged.
    Corruption(Box<Corruption>),
    /// The visitor refused a record.
    Visitor(E),
}

impl<E> From<Box<Corruption>> for RecoveryError<E> {
    fn from(corruption: Box<Corruption>) -> Self {
        Self::Corruption(corruption)
    }
}

impl<E: fmt::Display> fmt::Display for RecoveryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corruption(corruption) => corruption.fmt(f),
            Self::Visitor(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for RecoveryError<E> {}
