//! The writer of one shard's log: records in, aligned writes out, one in flight.

use std::collections::VecDeque;

use bytes::Bytes;

use super::buffer::AlignedBuffer;
use super::record::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, LogIdentity, LogPosition, RecordFields, RecordHeader, RecordKind, record_bytes,
};
use super::recovered::{HardStateRecord, ResumePoint, SegmentStart};
use super::start::{DurableEnd, LogStart};
use crate::ids::{LogIndex, SegmentId, Term, Timestamp, WriteNumber};
use crate::limits::LOG_BUFFER_KEPT_BYTES_MAX;

/// What a log writer must know of its disk.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// The bytes of an ordinary segment.
    pub segment_bytes: u64,
    /// The disk's logical block: writes start and end at multiples of it. A power of two from 512 to 4096.
    pub block_bytes: u32,
}

/// A record that waits to be written.
#[derive(Clone, Debug)]
pub struct PendingRecord {
    /// An entry or a hard state. In one write the hard state comes first: of a torn write a prefix survives, and entries
    /// must not be found without the term and vote that allowed them.
    pub kind: RecordKind,
    /// The entry's type.
    pub flags: u8,
    /// The entry's or hard state's term.
    pub term: Term,
    /// The entry's index; of a hard state it does not matter.
    pub index: LogIndex,
    /// The entry's timestamp.
    pub commit_ts: Timestamp,
    /// The entry, or the hard state, as bytes. The log does not look inside.
    pub body: Bytes,
}

/// A write for the shell to perform: direct, DSYNC, whole. It goes back to the writer when it is durable.
#[derive(Debug)]
pub struct LogWrite {
    /// Its number: one more than the write before it.
    pub write_number: WriteNumber,
    /// The file to write to.
    pub segment: SegmentId,
    /// Where in the file: a multiple of the logical block.
    pub offset: u64,
    /// What to write: aligned in memory, its length a multiple of the logical block.
    pub buffer: AlignedBuffer,
    /// Where the body of each record given to `plan` will lie, in the same order.
    pub placements: Vec<LogPosition>,
    /// The first and last index of the entries in it, if there are any.
    pub entries: Option<(LogIndex, LogIndex)>,
    /// Set when this is the first write of its segment: the checksum of the record before it.
    pub first_of_segment_after: Option<u32>,
}

/// No segment has room for the write. Nothing was changed: add a segment and plan again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSegment {
    /// The bytes that the next segment must have at least.
    pub bytes_needed: u64,
}

#[derive(Debug)]
struct InFlight {
    write_number: WriteNumber,
    last_index: LogIndex,
}

/// The writing end of a shard's log. It decides where records go and what their headers say; the shell writes.
#[derive(Debug)]
pub struct LogWriter {
    identity: LogIdentity,
    config: LogConfig,
    /// The segment being filled, or the start of the log while there is none.
    start: SegmentStart,
    /// The bytes of the segment being filled; 0 while there is none.
    segment_bytes: u64,
    /// Where the next write goes.
    offset: u64,
    waiting: VecDeque<(SegmentId, u64)>,
    skipped: Vec<SegmentId>,
    previous_crc: u32,
    last_write: WriteNumber,
    last_index: LogIndex,
    last_term: Term,
    /// How many records the last write lost when it was torn, until a write has said so.
    cut_before: u32,
    durable_index: LogIndex,
    durable_end: DurableEnd,
    hard_state: Option<(Term, Bytes)>,
    in_flight: Option<InFlight>,
    spare_buffer: Option<AlignedBuffer>,
    spare_placements: Vec<LogPosition>,
}

impl LogWriter {
    /// A writer that goes on where recovery ended. What recovery asked for (zeroing, making the tail durable) must be done.
    pub fn new(identity: LogIdentity, config: LogConfig, resume: ResumePoint) -> Self {
        let block = config.block_bytes;
        assert!(block.is_power_of_two() && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block));
        assert!(config.segment_bytes.is_multiple_of(u64::from(block)) && config.segment_bytes > 0);
        Self {
            identity,
            config,
            start: resume.start,
            segment_bytes: resume.segment_bytes,
            offset: resume.offset.next_multiple_of(u64::from(block)),
            waiting: VecDeque::new(),
            skipped: Vec::new(),
            previous_crc: resume.previous_crc,
            last_write: resume.last_write,
            last_index: resume.last_index,
            last_term: resume.last_term,
            cut_before: resume.cut_records,
            durable_index: resume.last_index,
            durable_end: DurableEnd { write_number: resume.last_write, crc: resume.previous_crc },
            hard_state: resume.hard_state.map(|HardStateRecord { term, body }| (term, Bytes::from(body))),
            in_flight: None,
            spare_buffer: None,
            spare_placements: Vec::new(),
        }
    }

    /// Hands over a pre-allocated, durable segment of this many bytes. Ids must rise.
    pub fn add_segment(&mut self, segment: SegmentId, bytes: u64) {
        let newest = self.waiting.back().map_or(self.start.segment, |(id, _)| *id);
        let first_ever = self.segment_bytes == 0 && self.waiting.is_empty();
        assert!(segment > newest || (first_ever && segment == newest), "segment {segment} after {newest}");
        self.waiting.push_back((segment, bytes));
    }

    /// How many segments wait to be used.
    pub fn segments_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Segments that were too small for a large write and were passed over: free, but only under a new, higher id.
    pub fn take_skipped(&mut self) -> Vec<SegmentId> {
        std::mem::take(&mut self.skipped)
    }

    /// The bytes that are left in the segment being filled.
    pub fn bytes_left(&self) -> u64 {
        self.segment_bytes.saturating_sub(self.offset)
    }

    /// The segment being filled; `None` until the first write of the log.
    pub fn segment(&self) -> Option<SegmentId> {
        (self.segment_bytes > 0).then_some(self.start.segment)
    }

    /// Whether a write is out and `plan` must wait for it.
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The last index given to `plan`, durable or not.
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// The highest index that is known to be durable.
    pub fn durable_index(&self) -> LogIndex {
        self.durable_index
    }

    /// The last record that is known to be durable.
    pub fn durable_end(&self) -> DurableEnd {
        self.durable_end
    }

    /// Lays out one write with these records, in order.
    ///
    /// # Errors
    /// `NoSegment` when neither the segment being filled nor one that waits has room.
    ///
    /// # Panics
    /// When the write before was not completed, without records, or when an entry cannot follow the one before it.
    pub fn plan(&mut self, records: &[PendingRecord]) -> Result<LogWrite, NoSegment> {
        assert!(self.in_flight.is_none(), "one write in flight per log");
        assert!(!records.is_empty(), "a write without records");
        let bytes = records.iter().map(|record| record_bytes(record.body.len())).sum();
        let starts_segment = self.make_room(bytes)?;
        let first_of_segment_after = starts_segment.then_some(self.previous_crc);
        let repeated = if starts_segment { self.hard_state.clone() } else { None };
        let repeated_bytes = repeated.as_ref().map_or(0, |(_, body)| record_bytes(body.len()));
        let write_bytes = self.padded(bytes + repeated_bytes);
        assert!(self.offset + write_bytes <= self.segment_bytes);

        let mut layout = Layout {
            identity: self.identity,
            segment: self.start.segment,
            start: self.offset,
            write_number: WriteNumber(self.last_write.0 + 1),
            durable_mark: self.durable_mark(records),
            previous_crc: self.previous_crc,
            cut_before: std::mem::take(&mut self.cut_before),
            records_left: (records.len() + usize::from(repeated.is_some())) as u32,
            write_bytes: u32::try_from(write_bytes).expect("a write is below 4 GiB"),
            buffer: self.take_buffer(write_bytes as usize),
        };
        if let Some((term, body)) = repeated {
            let index = self.last_index;
            layout.push(
                &PendingRecord { kind: RecordKind::HardState, flags: 0, term, index, commit_ts: Timestamp(0), body },
                index,
            );
        }
        let mut placements = std::mem::take(&mut self.spare_placements);
        placements.clear();
        let mut entries: Option<(LogIndex, LogIndex)> = None;
        for record in records {
            let index = match record.kind {
                RecordKind::Entry => {
                    self.follow(record);
                    let first = entries.map_or(record.index, |(first, _)| first.min(record.index));
                    entries = Some((first, record.index));
                    record.index
                }
                RecordKind::HardState => {
                    self.hard_state = Some((record.term, record.body.clone()));
                    self.last_index
                }
                other => panic!("{other:?} in a log"),
            };
            placements.push(layout.push(record, index));
        }
        assert_eq!(layout.records_left, 0);
        layout.buffer.pad_to(self.config.block_bytes as usize);
        assert_eq!(layout.buffer.len() as u64, write_bytes);

        self.last_write = layout.write_number;
        self.previous_crc = layout.previous_crc;
        let offset = self.offset;
        self.offset += write_bytes;
        self.in_flight = Some(InFlight { write_number: self.last_write, last_index: self.last_index });
        Ok(LogWrite {
            write_number: self.last_write,
            segment: self.start.segment,
            offset,
            buffer: layout.buffer,
            placements,
            entries,
            first_of_segment_after,
        })
    }

    /// The write is durable, all of it. Its buffers are used again.
    ///
    /// # Panics
    /// When this is not the write in flight.
    pub fn completed(&mut self, write: LogWrite) {
        let in_flight = self.in_flight.take().expect("a write was in flight");
        assert_eq!(in_flight.write_number, write.write_number, "another write was in flight");
        self.durable_index = in_flight.last_index;
        self.durable_end = DurableEnd { write_number: in_flight.write_number, crc: self.previous_crc };
        if write.buffer.capacity() <= LOG_BUFFER_KEPT_BYTES_MAX {
            self.spare_buffer = Some(write.buffer);
        }
        self.spare_placements = write.placements;
    }

    /// Where recovery begins for a checkpoint that comes from elsewhere and stands for everything up to `index`: it goes into the
    /// checkpoint's header. Entries that are durable by now are void then; none may be written until [`Self::supersede`].
    ///
    /// # Panics
    /// While a write is in flight.
    pub fn superseding_start(&self, index: LogIndex, term: Term) -> LogStart {
        assert!(self.in_flight.is_none(), "a log is superseded between writes");
        LogStart {
            index,
            term,
            segment: self.start.segment,
            first_write: self.start.first_write,
            previous_crc: self.start.previous_crc,
            durable: self.durable_end,
            void_through: self.durable_end.write_number,
        }
    }

    /// That checkpoint is published: the log goes on behind it.
    ///
    /// # Panics
    /// While a write is in flight.
    pub fn supersede(&mut self, start: &LogStart) {
        assert!(self.in_flight.is_none(), "a log is superseded between writes");
        self.last_index = start.index;
        self.last_term = start.term;
        self.durable_index = start.index;
    }

    /// Finds a place for a write; true when it is the start of a segment.
    fn make_room(&mut self, bytes: u64) -> Result<bool, NoSegment> {
        if self.padded(bytes) <= self.bytes_left() {
            return Ok(false);
        }
        let repeated = self.hard_state.as_ref().map_or(0, |(_, body)| record_bytes(body.len()));
        let needed = self.padded(bytes + repeated);
        let Some(found) = self.waiting.iter().position(|(_, room)| *room >= needed) else {
            return Err(NoSegment { bytes_needed: needed.max(self.config.segment_bytes) });
        };
        self.skipped.extend(self.waiting.drain(..found).map(|(id, _)| id));
        let (segment, room) = self.waiting.pop_front().expect("it was found");
        self.start =
            SegmentStart { segment, first_write: WriteNumber(self.last_write.0 + 1), previous_crc: self.previous_crc };
        self.segment_bytes = room;
        self.offset = 0;
        Ok(true)
    }

    /// The mark of a write: nothing that the write itself replaces counts as durable, or a torn write that overwrites a
    /// suffix would look like damage.
    fn durable_mark(&self, records: &[PendingRecord]) -> LogIndex {
        let entries = records.iter().filter(|record| record.kind == RecordKind::Entry);
        let kept = entries.map(|entry| LogIndex(entry.index.0.saturating_sub(1))).min();
        kept.map_or(self.durable_index, |kept| kept.min(self.durable_index))
    }

    fn follow(&mut self, entry: &PendingRecord) {
        assert!(
            entry.index.0 >= 1 && entry.index.0 <= self.last_index.0 + 1,
            "entry {} after {}",
            entry.index,
            self.last_index
        );
        assert!(
            entry.index <= self.last_index || entry.term >= self.last_term,
            "entry {} of term {} after term {}",
            entry.index,
            entry.term,
            self.last_term
        );
        self.last_index = entry.index;
        self.last_term = entry.term;
    }

    fn padded(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(u64::from(self.config.block_bytes))
    }

    fn take_buffer(&mut self, bytes: usize) -> AlignedBuffer {
        match self.spare_buffer.take() {
            Some(mut buffer) if buffer.capacity() >= bytes => {
                buffer.clear();
                buffer
            }
            _ => AlignedBuffer::with_capacity(bytes),
        }
    }
}

/// A write while it is being laid out.
struct Layout {
    identity: LogIdentity,
    segment: SegmentId,
    start: u64,
    write_number: WriteNumber,
    durable_mark: LogIndex,
    previous_crc: u32,
    cut_before: u32,
    records_left: u32,
    write_bytes: u32,
    buffer: AlignedBuffer,
}

impl Layout {
    fn push(&mut self, record: &PendingRecord, index: LogIndex) -> LogPosition {
        self.records_left -= 1;
        let written = self.buffer.len();
        let fields = RecordFields {
            kind: record.kind,
            flags: record.flags,
            term: record.term,
            index,
            commit_ts: record.commit_ts,
            segment: self.segment,
            offset: self.start + written as u64,
            write_number: self.write_number,
            durable_mark: self.durable_mark,
            previous_crc: self.previous_crc,
            records_left: self.records_left,
            write_bytes_left: self.write_bytes - written as u32,
            cut_before: self.cut_before,
        };
        let header = RecordHeader::seal(self.identity, fields, record.body.len(), crc32c::crc32c(&record.body));
        self.buffer.push(bytemuck::bytes_of(&header));
        self.buffer.push(&record.body);
        self.buffer.pad_to(super::record::RECORD_ALIGNMENT_BYTES as usize);
        self.previous_crc = header.crc();
        header.body_position()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::log::{BUFFER_ALIGNMENT_BYTES, HEADER_BYTES};

    #[test]
    fn a_write_is_aligned_padded_and_says_where_bodies_lie() {
        let mut disk = Disk::new(512, 8192);
        let write = disk.writer.plan(&[entry(1, 1, b"first"), entry(2, 1, b"second")]).unwrap();
        assert_eq!((write.segment, write.offset, write.write_number), (SegmentId(1), 0, WriteNumber(1)));
        assert_eq!(write.buffer.len(), 512);
        assert!((write.buffer.as_ptr() as usize).is_multiple_of(BUFFER_ALIGNMENT_BYTES));
        let body = |position: LogPosition| &write.buffer[position.offset as usize..][..position.bytes as usize];
        assert_eq!(body(write.placements[0]), b"first");
        assert_eq!(body(write.placements[1]), b"second");
        assert_eq!(write.entries, Some((LogIndex(1), LogIndex(2))));
        assert_eq!(disk.writer.durable_index(), LogIndex(0));
        disk.writer.completed(write);
        assert_eq!(disk.writer.durable_index(), LogIndex(2));
    }

    #[test]
    fn buffers_are_used_again() {
        let mut disk = Disk::new(4096, 1 << 20);
        let mut addresses = std::collections::BTreeSet::new();
        for index in 1..50 {
            let write = disk.writer.plan(&[entry(index, 1, &[3; 200])]).unwrap();
            addresses.insert((write.buffer.as_ptr() as usize, write.placements.as_ptr() as usize));
            disk.writer.completed(write);
        }
        assert_eq!(addresses.len(), 1);
    }

    #[test]
    fn a_write_that_does_not_fit_goes_whole_to_the_next_segment_after_the_hard_state() {
        let mut disk = Disk::new(512, 1024);
        disk.append(&[hard_state(1, b"vote"), entry(1, 1, &[1; 100])]);
        let write = disk.writer.plan(&[entry(2, 1, &[2; 700])]).unwrap();
        assert_eq!((write.segment, write.offset), (SegmentId(2), 0));
        assert_eq!(write.placements[0].offset, record_bytes(4) + HEADER_BYTES as u64);
        assert!(write.first_of_segment_after.is_some());
        disk.apply(write);
        let (events, _) = disk.recover().unwrap();
        assert_eq!(
            events,
            [
                Event::HardState(1, b"vote".to_vec()),
                Event::Entry(1, 1, vec![1; 100]),
                Event::HardState(1, b"vote".to_vec()),
                Event::Entry(2, 1, vec![2; 700])
            ]
        );
    }

    #[test]
    fn a_log_without_room_says_what_it_needs_and_changes_nothing() {
        let mut disk = Disk::new(512, 1024);
        disk.append(&[entry(1, 1, b"a")]);
        let before = format!("{:?}", disk.writer);
        let refused = disk.writer.plan(&[entry(2, 1, &[0; 3000])]).unwrap_err();
        assert_eq!(refused, NoSegment { bytes_needed: 3584 });
        assert_eq!(format!("{:?}", disk.writer), before);
        let waiting = disk.writer.segments_waiting();
        disk.add_segment(3584);
        disk.append(&[entry(2, 1, &[0; 3000])]);
        assert_eq!(disk.writer.take_skipped().len(), waiting);
        assert_eq!(disk.recover().unwrap().1.last_index, LogIndex(2));
    }

    #[test]
    #[should_panic(expected = "one write in flight")]
    fn two_writes_are_never_in_flight() {
        let mut disk = Disk::new(512, 8192);
        let _first = disk.writer.plan(&[entry(1, 1, b"a")]).unwrap();
        let _ = disk.writer.plan(&[entry(2, 1, b"b")]);
    }

    #[test]
    #[should_panic(expected = "entry 3 after 1")]
    fn a_gap_is_never_written() {
        let mut disk = Disk::new(512, 8192);
        disk.append(&[entry(1, 1, b"a")]);
        let _ = disk.writer.plan(&[entry(3, 1, b"c")]);
    }

    #[test]
    fn the_mark_never_counts_what_the_write_itself_replaces() {
        let mut disk = Disk::new(512, 8192);
        disk.append(&[entry(1, 1, b"a"), entry(2, 1, b"b"), entry(3, 1, b"c")]);
        let write = disk.writer.plan(&[entry(2, 2, b"B")]).unwrap();
        let mut segment = vec![0; write.offset as usize];
        segment.extend_from_slice(&write.buffer);
        let header = RecordHeader::read(IDENTITY, write.segment, &segment, write.offset).unwrap();
        assert_eq!(header.durable_mark(), LogIndex(1));
    }
}
