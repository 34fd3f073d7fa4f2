//! What can be wrong with a record, and what recovery says when it refuses a log.

use std::fmt;

use crate::ids::{LogIndex, SegmentId, ShardId, WriteNumber};

/// Why the bytes at a place are not the record that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// The segment ends before a header would.
    NoRoom,
    /// Zeros, where a record would begin.
    Blank,
    /// The bytes do not begin as a record does.
    NotARecord {
        /// The first four bytes, as a little-endian number.
        found: u32,
    },
    /// A record of another version of the format.
    Version {
        /// That version.
        found: u8,
    },
    /// A record of another place, log or time: what a recycled segment held before, or a damaged field.
    Foreign {
        /// The field that differs.
        field: &'static str,
        /// What it would have to be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The header's checksum does not hold.
    HeaderCrc {
        /// The checksum on disk.
        stored: u32,
        /// The checksum of the bytes on disk.
        computed: u32,
    },
    /// A kind of record that this build does not know (its checksum holds: a newer build wrote it), or that has no place here.
    Kind {
        /// The kind's number.
        found: u8,
    },
    /// The body would end beyond its segment.
    BodyLength {
        /// The body's bytes, says the header.
        bytes: u64,
        /// The bytes that are left in the segment.
        room: u64,
    },
    /// The body's checksum does not hold.
    BodyCrc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the body on disk.
        computed: u32,
    },
    /// A good record whose index or term cannot follow the one before it.
    Order {
        /// The field that cannot follow.
        field: &'static str,
        /// The bound it breaks: at most this index, or at least this term.
        bound: u64,
        /// What it is.
        found: u64,
    },
    /// A file that must be there is not.
    MissingSegment,
    /// A body whose inner structure does not hold, although its checksum does.
    Malformed {
        /// What does not hold.
        what: &'static str,
    },
}

impl RecordFault {
    /// The field by which a record names the one before it.
    pub(super) const CHAIN_FIELD: &str = "previous checksum";

    /// A good record of the right write in the right place follows another record than the one before it here.
    pub(super) fn is_broken_chain(&self) -> bool {
        matches!(self, Self::Foreign { field, .. } if *field == Self::CHAIN_FIELD)
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => write!(f, "the segment ends"),
            Self::Blank => write!(f, "found zeros"),
            Self::NotARecord { found } => write!(f, "found bytes that begin no record ({found:#010x})"),
            Self::Version { found } => {
                write!(f, "found a record of format version {found}, which this build cannot read")
            }
            Self::Foreign { field, expected, found } => {
                write!(f, "found a record whose {field} is {found}, expected {expected}")
            }
            Self::HeaderCrc { stored, computed } => {
                write!(f, "found a header with checksum {stored:#010x}, its bytes give {computed:#010x}")
            }
            Self::Kind { found } => write!(f, "found a record of kind {found}, which has no place here"),
            Self::BodyLength { bytes, room } => {
                write!(f, "found a record with a body of {bytes} bytes where the segment has {room} left")
            }
            Self::BodyCrc { stored, computed } => {
                write!(f, "found a body with checksum {stored:#010x}, its bytes give {computed:#010x}")
            }
            Self::Order { field, bound, found } => {
                write!(f, "found a record whose {field} is {found}, which cannot follow (bound {bound})")
            }
            Self::MissingSegment => write!(f, "the file is missing"),
            Self::Malformed { what } => write!(f, "found a body that cannot be read: {what}"),
        }
    }
}

/// The record that proves that something before it was once durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where it lies: the segment.
    pub segment: SegmentId,
    /// Where it lies: the first byte of its header.
    pub offset: u64,
    /// The write it came with.
    pub write_number: WriteNumber,
    /// Its index.
    pub index: LogIndex,
    /// The index that was durable when it was written.
    pub durable_mark: LogIndex,
}

/// Damage to what was once durable: the log must not be used as if nothing were missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Whose log.
    pub shard: ShardId,
    /// The segment of the bad place.
    pub segment: SegmentId,
    /// The first byte of the bad place.
    pub offset: u64,
    /// The write whose record was expected there.
    pub expected_write: WriteNumber,
    /// The index of the entry that was expected next.
    pub expected_index: LogIndex,
    /// What was found instead.
    pub fault: RecordFault,
    /// A later record that proves that the bad place was good once; without one, a checkpoint or the order of entries does.
    pub evidence: Option<Evidence>,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log of shard {} is damaged at segment {} offset {}: expected write {} with index {}, {}",
            self.shard, self.segment, self.offset, self.expected_write, self.expected_index, self.fault
        )?;
        match &self.evidence {
            Some(evidence) => write!(
                f,
                "; it was durable once, for write {} (index {}, made when index {} was durable) follows at segment {} offset {}",
                evidence.write_number, evidence.index, evidence.durable_mark, evidence.segment, evidence.offset
            )?,
            None => write!(
                f,
                "; this is no torn write: the checkpoint, or the order of the records, says that there was more"
            )?,
        }
        Ok(())
    }
}

impl std::error::Error for Corruption {}
