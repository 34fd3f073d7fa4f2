//! Records of the log and of checkpoints, read back from the segments as far as these are in memory.

use crate::ids::SegmentId;
use crate::keyspace::{ColdRange, Segments};
use crate::log::{HEADER_BYTES, LogIdentity, RecordHeader};

/// Why something cannot be read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// A range must be brought in first.
    Cold(ColdRange),
    /// What was once written whole is not so any more; in words, with the place.
    Damaged(String),
}

impl From<ColdRange> for Unreadable {
    fn from(range: ColdRange) -> Self {
        Unreadable::Cold(range)
    }
}

/// Bytes of a segment.
///
/// # Errors
/// They must be brought in first.
pub(crate) fn bytes(segments: &dyn Segments, segment: SegmentId, offset: u64, len: usize) -> Result<&[u8], ColdRange> {
    let range = ColdRange { segment, offset, len };
    segments.resident(range).ok_or(range)
}

/// The record at `offset` of a segment, and its body.
///
/// # Errors
/// [`Unreadable`].
pub(crate) fn record(
    identity: LogIdentity,
    segment: SegmentId,
    offset: u64,
    segments: &dyn Segments,
) -> Result<(RecordHeader, &[u8]), Unreadable> {
    let damaged = |fault| Unreadable::Damaged(format!("segment {segment}, offset {offset}: {fault}"));
    let header = bytes(segments, segment, offset, HEADER_BYTES)?;
    let header = RecordHeader::decode(identity, segment, header, offset).map_err(damaged)?;
    let at = header.body_position();
    let body = bytes(segments, segment, at.offset, at.bytes as usize)?;
    header.check_body(body).map_err(damaged)?;
    Ok((header, body))
}
