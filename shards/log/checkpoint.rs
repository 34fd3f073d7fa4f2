//! Reading a checkpoint: a file of records that counts only if all of it is there.
//!
//! ```text
//!  │ CheckpointHeader │ CheckpointItems │ ... │ CheckpointItems │ CheckpointEnd │ zeros to a block │
//!    start, meta        batches of items, or one large item        counts
//!
//!  a body of items:   │ length u32 │ item │ length u32 │ item │ ...
//! ```
//!
//! Records are chained and numbered like the log's, so that a missing, moved or foreign part is seen. Items and meta are opaque here.

use std::fmt;

use super::fault::RecordFault;
use super::record::{LogIdentity, LogPosition, RecordHeader, RecordKind};
use super::start::LogStart;
use crate::ids::{SegmentId, ShardId, Timestamp, WriteNumber};

/// The bytes of the length before each item.
pub const ITEM_LENGTH_BYTES: usize = 4;

/// The bytes of the body of the last record: the number of items and the sum of their bytes.
pub(super) const END_BODY_BYTES: usize = 16;

/// What a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointBase {
    /// The entry it stands at, and where the log goes on from there.
    pub start: LogStart,
    /// The timestamp of that entry.
    pub commit_ts: Timestamp,
    /// What else the shard wants to know before the items: the configuration of the group, shard count, seeds.
    pub meta: Vec<u8>,
}

/// Why a file does not count as a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointError {
    /// Whose checkpoint.
    pub shard: ShardId,
    /// The file.
    pub segment: SegmentId,
    /// The first byte of the record that is not there or not good.
    pub offset: u64,
    /// The number of that record, from 1.
    pub record: u64,
    /// What is wrong with it.
    pub fault: RecordFault,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the checkpoint of shard {} in segment {} is not whole: at offset {} expected record {}, {}",
            self.shard, self.segment, self.offset, self.record, self.fault
        )
    }
}

impl std::error::Error for CheckpointError {}

/// A checkpoint that was found whole.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    base: CheckpointBase,
    bytes: &'a [u8],
    items_start: u64,
    items: u64,
    item_bytes: u64,
    records: u64,
    identity: LogIdentity,
    segment: SegmentId,
}

impl<'a> Checkpoint<'a> {
    /// Checks every record of the file.
    ///
    /// # Errors
    /// The first place that is not as it was written, or where the file ends too early.
    pub fn read(identity: LogIdentity, segment: SegmentId, bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let mut walk = Walk { identity, segment, bytes, offset: 0, record: 1, previous_crc: 0 };
        let at = |walk: &Walk<'_>, fault| CheckpointError {
            shard: identity.shard,
            segment,
            offset: walk.offset,
            record: walk.record,
            fault,
        };
        let (header, body) = walk.next().map_err(|fault| at(&walk, fault))?;
        let base = match header.kind() {
            RecordKind::CheckpointHeader => checkpoint_base(&header, body),
            other => Err(RecordFault::Kind { found: other as u8 }),
        };
        let base = base.map_err(|fault| at(&walk, fault))?;
        walk.pass(&header);
        let items_start = walk.offset;
        let (mut items, mut item_bytes) = (0u64, 0u64);
        loop {
            let (header, body) = walk.next().map_err(|fault| at(&walk, fault))?;
            let (found, last) = match header.kind() {
                RecordKind::CheckpointItems => (count_items(body), false),
                RecordKind::CheckpointEnd => (end(body).map(|_| (0, 0)), true),
                other => (Err(RecordFault::Kind { found: other as u8 }), false),
            };
            let (more, more_bytes) = found.map_err(|fault| at(&walk, fault))?;
            items += more;
            item_bytes += more_bytes;
            if last {
                if end(body) != Ok((items, item_bytes)) {
                    let what = "the number of items or of their bytes";
                    return Err(at(&walk, RecordFault::Malformed { what }));
                }
                break;
            }
            walk.pass(&header);
        }
        Ok(Self { base, bytes, items_start, items, item_bytes, records: walk.record, identity, segment })
    }

    /// What it is a checkpoint of.
    pub fn base(&self) -> &CheckpointBase {
        &self.base
    }

    /// The file it lies in.
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// How many items it holds.
    pub fn item_count(&self) -> u64 {
        self.items
    }

    /// The bytes of all items.
    pub fn item_bytes(&self) -> u64 {
        self.item_bytes
    }

    /// How many records it consists of.
    pub fn record_count(&self) -> u64 {
        self.records
    }

    /// The items in the order in which they were pushed, each with its place in the file.
    pub fn items(&self) -> impl Iterator<Item = (LogPosition, &'a [u8])> + '_ {
        let bytes = self.bytes;
        let mut offset = self.items_start;
        let records = std::iter::from_fn(move || {
            let header = RecordHeader::read(self.identity, self.segment, bytes, offset).expect("the file was checked");
            offset = header.end();
            (header.kind() == RecordKind::CheckpointItems).then_some(header.body_position())
        });
        records.flat_map(move |position| {
            let body = &bytes[position.offset as usize..][..position.bytes as usize];
            let mut from = 0;
            std::iter::from_fn(move || {
                let item = next_item(body, from).expect("the file was checked")?;
                let place = position.part(from + ITEM_LENGTH_BYTES, item.len());
                from += ITEM_LENGTH_BYTES + item.len();
                Some((place, item))
            })
        })
    }
}

/// The place in a checkpoint's chain of records.
struct Walk<'a> {
    identity: LogIdentity,
    segment: SegmentId,
    bytes: &'a [u8],
    offset: u64,
    record: u64,
    previous_crc: u32,
}

impl<'a> Walk<'a> {
    fn next(&self) -> Result<(RecordHeader, &'a [u8]), RecordFault> {
        let header = RecordHeader::read(self.identity, self.segment, self.bytes, self.offset)?;
        let chain = [
            ("record number", self.record, header.write_number()),
            (RecordFault::CHAIN_FIELD, u64::from(self.previous_crc), WriteNumber(u64::from(header.previous_crc()))),
        ];
        for (field, expected, WriteNumber(found)) in chain {
            if expected != found {
                return Err(RecordFault::Foreign { field, expected, found });
            }
        }
        Ok((header, header.body(self.bytes)?))
    }

    fn pass(&mut self, header: &RecordHeader) {
        self.offset = header.end();
        self.record += 1;
        self.previous_crc = header.crc();
    }
}

/// What the first record of a checkpoint says.
///
/// # Errors
/// Its body is not that of such a record.
pub fn checkpoint_base(header: &RecordHeader, body: &[u8]) -> Result<CheckpointBase, RecordFault> {
    let malformed = |what| RecordFault::Malformed { what };
    let (start, meta) = body.split_first_chunk().ok_or(malformed("a header that ends early"))?;
    let start = LogStart::decode(start).ok_or(malformed("the start of the log"))?;
    if start.index != header.index() || start.term != header.term() {
        return Err(malformed("the start of the log is not the header's"));
    }
    Ok(CheckpointBase { start, commit_ts: header.commit_ts(), meta: meta.to_vec() })
}

fn end(body: &[u8]) -> Result<(u64, u64), RecordFault> {
    let malformed = RecordFault::Malformed { what: "the counts at the end" };
    let body: &[u8; END_BODY_BYTES] = body.try_into().map_err(|_| malformed)?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| body[at + byte]));
    Ok((word(0), word(8)))
}

/// The number of items in a body and the sum of their bytes.
fn count_items(body: &[u8]) -> Result<(u64, u64), RecordFault> {
    let (mut items, mut bytes, mut from) = (0, 0, 0);
    while let Some(item) = next_item(body, from)? {
        items += 1;
        bytes += item.len() as u64;
        from += ITEM_LENGTH_BYTES + item.len();
    }
    Ok((items, bytes))
}

/// The item that begins at `from`, where the body holds its length; none at the end of the body.
///
/// # Errors
/// The body ends within the item.
pub fn next_item(body: &[u8], from: usize) -> Result<Option<&[u8]>, RecordFault> {
    let rest = body.get(from..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let malformed = RecordFault::Malformed { what: "the length of an item" };
    let Some((length, rest)) = rest.split_first_chunk::<ITEM_LENGTH_BYTES>() else {
        return Err(malformed);
    };
    let item = rest.get(..u32::from_le_bytes(*length) as usize).ok_or(malformed)?;
    Ok(Some(item))
}

/// Chooses what recovery starts from: the newest of these checkpoints that is whole. Those that are newer and not whole are errors to
/// be told: a published checkpoint was whole once.
///
/// # Panics
/// When the files are not sorted by id.
pub fn newest_checkpoint<'a>(
    identity: LogIdentity,
    files: &[(SegmentId, &'a [u8])],
) -> (Option<Checkpoint<'a>>, Vec<CheckpointError>) {
    assert!(files.is_sorted_by(|a, b| a.0 < b.0), "checkpoints are sorted by id");
    let mut damaged = Vec::new();
    for &(segment, bytes) in files.iter().rev() {
        match Checkpoint::read(identity, segment, bytes) {
            Ok(checkpoint) => return (Some(checkpoint), damaged),
            Err(error) => damaged.push(error),
        }
    }
    (None, damaged)
}
