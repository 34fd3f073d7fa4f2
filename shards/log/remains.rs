//! What lies behind the end of a log. A search through untrusted bytes for headers of this log: those of the write that was torn are to
//! be zeroed, those of a later write prove that the end is no end but damage.
//!
//! Only one write is in flight per log. So the header of any write after the torn one, even with its body missing, proves that the torn one
//! had been durable; and so does a durable mark above the last index that was found. So does a header of that write or a later one that says that it
//! was written to another segment: its file was given another name since, which only old files are.

use super::fault::Evidence;
use super::record::{BLOCK_BYTES_MAX, LogIdentity, RECORD_ALIGNMENT_BYTES, RecordHeader};
use super::recovered::ByteRange;
use crate::ids::{LogIndex, SegmentId, WriteNumber};

/// What was looked for where the log ended.
pub(super) struct Expected {
    /// The write that the missing record belongs to.
    pub(super) write: WriteNumber,
    /// How many records that write lacks, if some of its records count; 0 otherwise.
    pub(super) cut_records: u32,
    /// The highest index that is accounted for.
    pub(super) last_index: LogIndex,
    /// Where the log ends in the first segment of the search.
    pub(super) offset: u64,
    /// Where the torn write would have ended, if some of its records count.
    pub(super) torn_write_end: Option<u64>,
}

impl Expected {
    /// Whether a header of this or a later write may lie behind the end of an undamaged log.
    fn allows(&self, header: &RecordHeader) -> bool {
        let torn_now = header.write_number() == self.write;
        // The write was torn and cut in an earlier life. The next one knows that, and was torn in turn.
        let torn_before = self.cut_records > 0
            && header.write_number().0 == self.write.0 + 1
            && header.cut_before() == self.cut_records;
        (torn_now || torn_before) && header.durable_mark() <= self.last_index
    }
}

/// What was found behind the end.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) torn: Vec<ByteRange>,
    pub(super) evidence: Option<Evidence>,
}

impl Remains {
    /// Searches these segments, the first from where the log ended in it.
    pub(super) fn search(identity: LogIdentity, segments: &[(SegmentId, &[u8])], expected: &Expected) -> Self {
        let mut remains = Self::default();
        for (at, &(segment, bytes)) in segments.iter().enumerate() {
            let from = if at == 0 { expected.offset } else { 0 };
            let mut torn_end = if at == 0 { expected.torn_write_end } else { None };
            if torn_end.is_none() && damaged_header(identity, segment, bytes, from) {
                torn_end = Some((from + 1).next_multiple_of(u64::from(BLOCK_BYTES_MAX)));
            }
            for header in headers(identity, bytes, from) {
                if header.write_number() < expected.write {
                    continue;
                }
                if header.body_position().segment != segment || !expected.allows(&header) {
                    remains.evidence = Some(Evidence {
                        segment,
                        offset: header.offset(),
                        write_number: header.write_number(),
                        index: header.index(),
                        durable_mark: header.durable_mark(),
                    });
                    return remains;
                }
                torn_end = torn_end.max(Some(header.write_end()));
            }
            let end = torn_end.map_or(from, |end| end.min(bytes.len() as u64));
            // What was zeroed at an earlier start is done with.
            if end > from && bytes[from as usize..end as usize].iter().any(|byte| *byte != 0) {
                remains.torn.push(ByteRange { segment, offset: from, bytes: end - from });
            }
        }
        remains
    }
}

/// Whether a header was to begin here and did not arrive whole.
fn damaged_header(identity: LogIdentity, segment: SegmentId, bytes: &[u8], offset: u64) -> bool {
    matches!(RecordHeader::read(identity, segment, bytes, offset), Err(super::fault::RecordFault::HeaderCrc { .. }))
}

/// All headers of this log from here on, at any place where one can begin, whatever segment they say that they are in. Bodies are not looked at, so the cost is one pass over the bytes,
/// whatever they hold.
fn headers<'a>(identity: LogIdentity, bytes: &'a [u8], from: u64) -> impl Iterator<Item = RecordHeader> + 'a {
    let from = (from.next_multiple_of(RECORD_ALIGNMENT_BYTES) as usize).min(bytes.len());
    let magic = RecordHeader::MAGIC_AND_VERSION;
    bytes[from..]
        .chunks_exact(RECORD_ALIGNMENT_BYTES as usize)
        .enumerate()
        .filter(move |(_, word)| word[..4] == magic)
        .filter_map(move |(at, _)| {
            let offset = from as u64 + at as u64 * RECORD_ALIGNMENT_BYTES;
            RecordHeader::read_misplaced(identity, bytes, offset).ok()
        })
}
