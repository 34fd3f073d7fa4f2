//! One record of the log: a header of plain bytes and a body. What lies on disk is exactly this struct, little-endian.

use std::fmt;

use bytemuck::{Pod, Zeroable};

use super::fault::RecordFault;
use crate::ids::{LogIndex, SegmentId, ShardId, Term, Timestamp, WriteNumber};
use crate::limits::RECORD_BODY_BYTES_MAX;

/// The bytes of a record's header.
pub const HEADER_BYTES: usize = size_of::<RecordHeader>();

/// Records start at multiples of this, so that a header never lies across an unaligned place of the map.
pub(super) const RECORD_ALIGNMENT_BYTES: u64 = 8;

/// The smallest logical block of a disk. Every write starts at a multiple of it.
pub const BLOCK_BYTES_MIN: u32 = 512;

/// The largest logical block that the log writes with.
pub const BLOCK_BYTES_MAX: u32 = 4096;

const MAGIC: [u8; 3] = *b"RKL";
const FORMAT_VERSION: u8 = 1;

const _: () = assert!(cfg!(target_endian = "little"), "the log's format is little-endian");
const _: () = assert!(HEADER_BYTES == 96);
const _: () = assert!((HEADER_BYTES as u64).is_multiple_of(RECORD_ALIGNMENT_BYTES));
const _: () = assert!((BLOCK_BYTES_MIN as u64).is_multiple_of(RECORD_ALIGNMENT_BYTES));
const _: () = assert!(BLOCK_BYTES_MAX.is_multiple_of(BLOCK_BYTES_MIN));

/// What a record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// A Raft entry; its type is in the flags.
    Entry = 1,
    /// Raft's hard state. Each segment begins with the one in force, so that older segments can go.
    HardState = 2,
    /// The first record of a checkpoint.
    CheckpointHeader = 16,
    /// A batch of a checkpoint's items, each behind its length.
    CheckpointItems = 17,
    /// The last record of a checkpoint. Without it the file does not count.
    CheckpointEnd = 18,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Entry, Self::HardState, Self::CheckpointHeader, Self::CheckpointItems, Self::CheckpointEnd]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Whose log it is. Both parts are under every record's checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogIdentity {
    /// The shard that the log belongs to.
    pub shard: ShardId,
    /// A random number of the data directory that starts every checksum. Without knowing it no client can put bytes into a value
    /// that recovery would take for a record, and files of another directory never line up.
    pub salt: u32,
}

/// Where bytes lie in a shard's segments: a record's body, or a large value in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogPosition {
    /// The file.
    pub segment: SegmentId,
    /// The first byte, counted from the start of the file.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl LogPosition {
    /// The position of a part of these bytes.
    ///
    /// # Panics
    /// When the part is not inside: positions inside a body come from code that wrote that body.
    pub fn part(self, from: usize, bytes: usize) -> Self {
        let end = (from as u64).checked_add(bytes as u64);
        assert!(end.is_some_and(|end| end <= self.bytes), "part {from}+{bytes} of {self}");
        Self { segment: self.segment, offset: self.offset + from as u64, bytes: bytes as u64 }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {} ({} bytes)", self.segment, self.offset, self.bytes)
    }
}

/// The header of a record, as it lies on disk.
///
/// ```text
///  0 ┌──────────────┬──────────────┬──────────────┬──────────────┐
///    │ "RKL", ver 1 │ header crc   │ body crc     │ body bytes   │
/// 16 ├────┬─────┬───┴──┬───────────┴──┬───────────┴──────────────┤
///    │kind│flags│shard │ records left │ term                     │
/// 32 ├────┴─────┴──────┴──────────────┼──────────────────────────┤
///    │ index                          │ commit ts                │
/// 48 ├────────────────────────────────┼──────────────────────────┤
///    │ segment                        │ offset                   │
/// 64 ├────────────────────────────────┼──────────────────────────┤
///    │ write number                   │ durable mark             │
/// 80 ├──────────────┬─────────────────┼────────────┬─────────────┤
///    │ previous crc │ write bytes left│ cut before │ zero        │
/// 96 ├──────────────┴─────────────────┴────────────┴─────────────┤
///    │ body ...                         zeros to a multiple of 8 │
///    └───────────────────────────────────────────────────────────┘
///
///    one write:  │ record │ record │ ... │ zeros to the end of its last block │
/// ```
///
/// `header crc` covers the header with that field zero, hence the body's crc too, hence the body. It is also what the next record
/// names as its `previous crc`. That the header can be trusted without its body lets recovery tell a torn body from bytes
/// that were never ours, and bounds its search through untrusted bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct RecordHeader {
    magic: u32,
    header_crc: u32,
    body_crc: u32,
    body_bytes: u32,
    kind: u8,
    flags: u8,
    shard: u16,
    records_left: u32,
    term: u64,
    index: u64,
    commit_ts: u64,
    segment: u64,
    offset: u64,
    write_number: u64,
    durable_mark: u64,
    previous_crc: u32,
    write_bytes_left: u32,
    cut_before: u32,
    reserved: u32,
}

/// What the writer knows of a record before it has a checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordFields {
    pub(super) kind: RecordKind,
    pub(super) flags: u8,
    pub(super) term: Term,
    pub(super) index: LogIndex,
    pub(super) commit_ts: Timestamp,
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
    pub(super) write_number: WriteNumber,
    pub(super) durable_mark: LogIndex,
    pub(super) previous_crc: u32,
    pub(super) records_left: u32,
    pub(super) write_bytes_left: u32,
    pub(super) cut_before: u32,
}

impl RecordHeader {
    /// What every record of this format begins with.
    pub(super) const MAGIC_AND_VERSION: [u8; 4] = [MAGIC[0], MAGIC[1], MAGIC[2], FORMAT_VERSION];

    /// The header of a record with this body, checksums included.
    pub(super) fn seal(identity: LogIdentity, fields: RecordFields, body_bytes: usize, body_crc: u32) -> Self {
        assert!(body_bytes <= RECORD_BODY_BYTES_MAX, "a body of {body_bytes} bytes");
        assert!(fields.offset.is_multiple_of(RECORD_ALIGNMENT_BYTES));
        let mut header = Self {
            magic: u32::from_le_bytes(Self::MAGIC_AND_VERSION),
            header_crc: 0,
            body_crc,
            body_bytes: body_bytes as u32,
            kind: fields.kind as u8,
            flags: fields.flags,
            shard: identity.shard.0,
            records_left: fields.records_left,
            term: fields.term.0,
            index: fields.index.0,
            commit_ts: fields.commit_ts.0,
            segment: fields.segment.0,
            offset: fields.offset,
            write_number: fields.write_number.0,
            durable_mark: fields.durable_mark.0,
            previous_crc: fields.previous_crc,
            write_bytes_left: fields.write_bytes_left,
            cut_before: fields.cut_before,
            reserved: 0,
        };
        header.header_crc = header.compute_crc(identity);
        header
    }

    /// Reads the header at `offset` of a segment's bytes and believes it only if it says that it was written there, for this log,
    /// and its checksum holds. The body is not looked at.
    ///
    /// # Errors
    /// What is wrong with these bytes.
    pub fn read(identity: LogIdentity, segment: SegmentId, bytes: &[u8], offset: u64) -> Result<Self, RecordFault> {
        Self::decode(identity, segment, from(bytes, offset)?, offset)
    }

    /// Reads the header at `offset` of a file that may have been another segment when it was written.
    ///
    /// # Errors
    /// What is wrong with these bytes.
    pub(super) fn read_misplaced(identity: LogIdentity, bytes: &[u8], offset: u64) -> Result<Self, RecordFault> {
        Self::decode_expecting(identity, None, from(bytes, offset)?, offset)
    }

    /// [`Self::read`] from the segment's bytes from `offset` on.
    ///
    /// # Errors
    /// What is wrong with these bytes.
    pub fn decode(identity: LogIdentity, segment: SegmentId, raw: &[u8], offset: u64) -> Result<Self, RecordFault> {
        Self::decode_expecting(identity, Some(segment), raw, offset)
    }

    fn decode_expecting(
        identity: LogIdentity,
        segment: Option<SegmentId>,
        raw: &[u8],
        offset: u64,
    ) -> Result<Self, RecordFault> {
        let header: Self = bytemuck::pod_read_unaligned(raw.get(..HEADER_BYTES).ok_or(RecordFault::NoRoom)?);
        if header.magic.to_le_bytes() != Self::MAGIC_AND_VERSION {
            return Err(match header.magic.to_le_bytes() {
                [0, 0, 0, 0] => RecordFault::Blank,
                [a, b, c, version] if [a, b, c] == MAGIC => RecordFault::Version { found: version },
                _ => RecordFault::NotARecord { found: header.magic },
            });
        }
        let place = [
            ("shard", u64::from(identity.shard.0), u64::from(header.shard)),
            ("segment", segment.map_or(header.segment, |segment| segment.0), header.segment),
            ("offset", offset, header.offset),
        ];
        for (field, expected, found) in place {
            if expected != found {
                return Err(RecordFault::Foreign { field, expected, found });
            }
        }
        let computed = header.compute_crc(identity);
        if computed != header.header_crc {
            return Err(RecordFault::HeaderCrc { stored: header.header_crc, computed });
        }
        // The checksum holds, so a build of this program wrote it; but perhaps a newer one.
        if RecordKind::from_byte(header.kind).is_none() {
            return Err(RecordFault::Kind { found: header.kind });
        }
        Ok(header)
    }

    /// The body that belongs to this header, from the same segment's bytes.
    ///
    /// # Errors
    /// The segment ends before the body does, or the body's checksum does not hold.
    pub fn body<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], RecordFault> {
        let start = self.offset as usize + HEADER_BYTES;
        let room = bytes.len().saturating_sub(start) as u64;
        let body = bytes
            .get(start..start + self.body_bytes as usize)
            .ok_or(RecordFault::BodyLength { bytes: u64::from(self.body_bytes), room })?;
        self.check_body(body)?;
        Ok(body)
    }

    /// Whether these bytes are the body that the header was made for.
    ///
    /// # Errors
    /// They are not.
    pub fn check_body(&self, body: &[u8]) -> Result<(), RecordFault> {
        let computed = crc32c::crc32c(body);
        if computed != self.body_crc {
            return Err(RecordFault::BodyCrc { stored: self.body_crc, computed });
        }
        Ok(())
    }

    /// What the record holds.
    pub fn kind(&self) -> RecordKind {
        RecordKind::from_byte(self.kind).expect("checked when the header was read")
    }

    /// The caller's own byte: a Raft entry's type.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The term of the entry, or of the hard state.
    pub fn term(&self) -> Term {
        Term(self.term)
    }

    /// The index of the entry; of another record, the last index before it.
    pub fn index(&self) -> LogIndex {
        LogIndex(self.index)
    }

    /// The timestamp logged with the entry.
    pub fn commit_ts(&self) -> Timestamp {
        Timestamp(self.commit_ts)
    }

    /// The write that carried the record.
    pub fn write_number(&self) -> WriteNumber {
        WriteNumber(self.write_number)
    }

    /// The highest index that was durable when the record was written, and that its write does not overwrite.
    pub fn durable_mark(&self) -> LogIndex {
        LogIndex(self.durable_mark)
    }

    /// How many records of the same write come after this one.
    pub fn records_left(&self) -> u32 {
        self.records_left
    }

    /// How many records of the write before this one were lost when it was torn: what its last good record has as `records_left`. Every
    /// record of this write says so: if only some of them arrive, they still do not prove that the write before had been whole.
    pub fn cut_before(&self) -> u32 {
        self.cut_before
    }

    /// The checksum that the next record names as its predecessor's.
    pub fn crc(&self) -> u32 {
        self.header_crc
    }

    /// The checksum of the record before this one.
    pub fn previous_crc(&self) -> u32 {
        self.previous_crc
    }

    /// Where the record starts in its segment.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the record, with the zeros that align it, ends in its segment.
    pub fn end(&self) -> u64 {
        self.offset + record_bytes(self.body_bytes as usize)
    }

    /// Where the record's write, with the zeros that fill its last block, ends in its segment.
    pub fn write_end(&self) -> u64 {
        self.offset + u64::from(self.write_bytes_left)
    }

    /// Where the body lies.
    pub fn body_position(&self) -> LogPosition {
        LogPosition {
            segment: SegmentId(self.segment),
            offset: self.offset + HEADER_BYTES as u64,
            bytes: u64::from(self.body_bytes),
        }
    }

    fn compute_crc(&self, identity: LogIdentity) -> u32 {
        let unsealed = Self { header_crc: 0, ..*self };
        crc32c::crc32c_append(identity.salt, bytemuck::bytes_of(&unsealed))
    }
}

/// A record that was found good.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its header.
    pub header: RecordHeader,
    /// Its body, in the segment's bytes.
    pub body: &'a [u8],
}

/// A segment's bytes from `offset` on.
fn from(bytes: &[u8], offset: u64) -> Result<&[u8], RecordFault> {
    usize::try_from(offset).ok().and_then(|from| bytes.get(from..)).ok_or(RecordFault::NoRoom)
}

/// The bytes that a record with such a body takes: header, body, and zeros to the next record's place.
pub fn record_bytes(body_bytes: usize) -> u64 {
    (HEADER_BYTES as u64 + body_bytes as u64).next_multiple_of(RECORD_ALIGNMENT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: LogIdentity = LogIdentity { shard: ShardId(3), salt: 0x5eed };

    fn fields() -> RecordFields {
        RecordFields {
            kind: RecordKind::Entry,
            flags: 2,
            term: Term(4),
            index: LogIndex(5),
            commit_ts: Timestamp(6),
            segment: SegmentId(7),
            offset: 512,
            write_number: WriteNumber(8),
            durable_mark: LogIndex(4),
            previous_crc: 9,
            records_left: 0,
            write_bytes_left: 512,
            cut_before: 0,
        }
    }

    fn segment_with_record(body: &[u8]) -> Vec<u8> {
        let header = RecordHeader::seal(IDENTITY, fields(), body.len(), crc32c::crc32c(body));
        let mut bytes = vec![0; 512];
        bytes.extend_from_slice(bytemuck::bytes_of(&header));
        bytes.extend_from_slice(body);
        bytes.resize(2048, 0);
        bytes
    }

    #[test]
    fn what_was_sealed_reads_back() {
        let bytes = segment_with_record(b"hello");
        let header = RecordHeader::read(IDENTITY, SegmentId(7), &bytes, 512).unwrap();
        assert_eq!(header.body(&bytes).unwrap(), b"hello");
        assert_eq!(header.kind(), RecordKind::Entry);
        assert_eq!(header.flags(), 2);
        assert_eq!(header.index(), LogIndex(5));
        assert_eq!(header.end(), 512 + 104);
        assert_eq!(header.write_end(), 1024);
        assert_eq!(header.body_position().offset, 512 + 96);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = segment_with_record(b"hello");
        for bit in 512 * 8..(512 + HEADER_BYTES + 5) * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = RecordHeader::read(IDENTITY, SegmentId(7), &bytes, 512).and_then(|h| h.body(&bytes).map(|_| ()));
            assert!(read.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_place_or_directory_is_not_ours() {
        let bytes = segment_with_record(b"hello");
        let read = |identity, segment| RecordHeader::read(identity, segment, &bytes, 512).map(|_| ());
        let other_shard = LogIdentity { shard: ShardId(4), ..IDENTITY };
        let other_directory = LogIdentity { salt: 1, ..IDENTITY };
        assert!(matches!(read(other_shard, SegmentId(7)), Err(RecordFault::Foreign { field: "shard", .. })));
        assert!(matches!(read(other_directory, SegmentId(7)), Err(RecordFault::HeaderCrc { .. })));
        assert!(matches!(read(IDENTITY, SegmentId(8)), Err(RecordFault::Foreign { field: "segment", .. })));
        let moved = [&bytes[512..], &bytes[..512]].concat();
        assert!(matches!(
            RecordHeader::read(IDENTITY, SegmentId(7), &moved, 0),
            Err(RecordFault::Foreign { field: "offset", .. })
        ));
    }

    #[test]
    fn lengths_beyond_the_segment_are_refused() {
        let bytes = segment_with_record(&[1; 600]);
        let header = RecordHeader::read(IDENTITY, SegmentId(7), &bytes, 512).unwrap();
        assert!(matches!(header.body(&bytes[..1024]), Err(RecordFault::BodyLength { .. })));
        for end in [0, 512, 513, 599] {
            assert!(RecordHeader::read(IDENTITY, SegmentId(7), &bytes[..end], 512).is_err());
        }
        assert!(RecordHeader::read(IDENTITY, SegmentId(7), &bytes, u64::MAX).is_err());
    }
}
