//! Reading a log back: which records count, where the next write goes, and what is damage.
//!
//! A record counts if it is intact, says that it was written where it lies, and names the record before it. The next one is looked for
//!
//! ```text
//!   │ record │ record │ zeros │ record ...       in the same write: right behind
//!                             ^ the next write: at the end of this one, rounded up to a block
//!   │ record │ ??? │ record ...                  after a torn write was cut: at the next block
//!   another segment: │ record ...                at its start
//! ```
//!
//! and no other bytes can pass for it, as write number, previous checksum, segment and offset are under its checksum. Where none is
//! found the log ends. That end is a torn write, or damage: [`remains`](super::remains) tells which.

use std::collections::BTreeSet;

use super::fault::{Corruption, RecordFault};
use super::record::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, HEADER_BYTES, LogIdentity, RecordHeader, RecordKind, RecordView,
};
use super::recovered::{
    HardStateRecord, LogEvent, Recovered, RecoveryError, ResumePoint, SegmentStart, SegmentSummary,
};
use super::remains::{Expected, Remains};
use super::start::LogStart;
use crate::ids::{LogIndex, SegmentId, Term, WriteNumber};

/// Reads a shard's log from `start` and tells the visitor what it holds. The whole of the given segments is read, once, in order: the shell
/// should have them brought in ahead. Segments before the start are ignored.
///
/// # Errors
/// `Corruption` when something that was durable is missing or damaged, with the place; or what the visitor returned.
///
/// # Panics
/// When the segments are not sorted by id.
pub fn recover<E>(
    identity: LogIdentity,
    segments: &[(SegmentId, &[u8])],
    start: &LogStart,
    visit: &mut dyn FnMut(LogEvent<'_>) -> Result<(), E>,
) -> Result<Recovered, RecoveryError<E>> {
    assert!(segments.is_sorted_by(|a, b| a.0 < b.0), "segments are sorted by id");
    let first = segments.partition_point(|(id, _)| *id < start.segment);
    let segments = &segments[first..];
    let mut reader = Reader {
        identity,
        segments,
        start: *start,
        at: None,
        told: None,
        term_at_start: None,
        replaced: None,
        reached_durable: start.durable.write_number < start.first_write,
        resume: ResumePoint::empty(start),
        summaries: Vec::new(),
        records: 0,
        entries: 0,
        body_bytes: 0,
    };
    let end = loop {
        match reader.next() {
            Ok((segment, view)) => reader.accept(segment, view, visit)?,
            Err(end) => break end,
        }
    };
    let remains = reader.judge(end)?;
    reader.meet_checkpoint(visit)?;
    Ok(reader.finish(remains))
}

/// The last record that counts, and where it lies in `segments`.
#[derive(Clone, Copy)]
struct Last {
    segment: usize,
    header: RecordHeader,
}

/// What was found where the next record was looked for.
struct End {
    fault: RecordFault,
    broken_chain: bool,
}

impl End {
    /// Notes what is wrong at a place. Only where a write must begin is a good header that names another predecessor a broken
    /// chain: further on it can be a later record of a torn write.
    fn note(&mut self, fault: RecordFault, write_begins: bool) {
        let breaks = write_begins && fault.is_broken_chain();
        if (breaks && !self.broken_chain) || self.fault == RecordFault::NoRoom {
            self.fault = fault;
        }
        self.broken_chain |= breaks;
    }
}

struct Reader<'a> {
    identity: LogIdentity,
    segments: &'a [(SegmentId, &'a [u8])],
    start: LogStart,
    at: Option<Last>,
    /// The last entry told to the visitor and not voided.
    told: Option<LogIndex>,
    /// The term of the told entry at the checkpoint's index.
    term_at_start: Option<Term>,
    /// The first entry follows the checkpoint's and has a lower term: a later leader must have replaced it, or it is damage.
    replaced: Option<(usize, u64, RecordFault)>,
    /// Whether the last record that was durable when the checkpoint was made has been read.
    reached_durable: bool,
    resume: ResumePoint,
    summaries: Vec<SegmentSummary>,
    records: u64,
    entries: u64,
    body_bytes: u64,
}

impl<'a> Reader<'a> {
    /// The record that follows, wherever it can lie; else what was found instead.
    fn next(&self) -> Result<(usize, RecordView<'a>), End> {
        let mut end = End { fault: RecordFault::NoRoom, broken_chain: false };
        let next_write = WriteNumber(self.resume.last_write.0 + 1);
        if let Some(Last { segment, header }) = self.at {
            if header.records_left() > 0 {
                match self.read(segment, header.end(), header.write_number(), Some(header.records_left() - 1)) {
                    Ok(view) => return Ok((segment, view)),
                    Err(fault) => end.note(fault, false),
                }
            }
            let from = self.resume.offset.next_multiple_of(u64::from(BLOCK_BYTES_MIN));
            let to = self.resume.offset.next_multiple_of(u64::from(BLOCK_BYTES_MAX));
            for offset in (from..=to).step_by(BLOCK_BYTES_MIN as usize) {
                match self.read(segment, offset, next_write, None) {
                    Ok(view) => return Ok((segment, view)),
                    Err(fault) => end.note(fault, offset == from),
                }
            }
        }
        let later = self.at.map_or(0, |last| last.segment + 1);
        for segment in later..self.segments.len() {
            match self.read(segment, 0, next_write, None) {
                Ok(view) => return Ok((segment, view)),
                Err(fault) => end.note(fault, true),
            }
        }
        Err(end)
    }

    /// The record at a place, if it can follow the last one.
    fn read(
        &self,
        segment: usize,
        offset: u64,
        write: WriteNumber,
        records_left: Option<u32>,
    ) -> Result<RecordView<'a>, RecordFault> {
        let (id, bytes) = self.segments[segment];
        let header = RecordHeader::read(self.identity, id, bytes, offset)?;
        let records_left = records_left.unwrap_or(header.records_left());
        let chain = [
            ("write number", write.0, header.write_number().0),
            (RecordFault::CHAIN_FIELD, u64::from(self.resume.previous_crc), u64::from(header.previous_crc())),
            ("number of records left", u64::from(records_left), u64::from(header.records_left())),
        ];
        for (field, expected, found) in chain {
            if expected != found {
                return Err(RecordFault::Foreign { field, expected, found });
            }
        }
        let body = header.body(bytes)?;
        Ok(RecordView { header, body })
    }

    fn accept<E>(
        &mut self,
        segment: usize,
        view: RecordView<'a>,
        visit: &mut dyn FnMut(LogEvent<'_>) -> Result<(), E>,
    ) -> Result<(), RecoveryError<E>> {
        let header = view.header;
        let void = header.write_number() <= self.start.void_through;
        match header.kind() {
            RecordKind::Entry if void => {}
            RecordKind::Entry => self.accept_entry(segment, view, visit)?,
            RecordKind::HardState => {
                self.resume.hard_state = Some(HardStateRecord { term: header.term(), body: view.body.to_vec() });
                visit(LogEvent::HardState(view)).map_err(RecoveryError::Visitor)?;
            }
            other => {
                let fault = RecordFault::Kind { found: other as u8 };
                return Err(self.corruption_at(segment, header.offset(), fault).into());
            }
        }
        if self.at.is_none_or(|last| last.segment != segment) {
            let (id, bytes) = self.segments[segment];
            self.resume.start =
                SegmentStart { segment: id, first_write: header.write_number(), previous_crc: header.previous_crc() };
            self.resume.segment_bytes = bytes.len() as u64;
            self.summaries.push(SegmentSummary {
                start: self.resume.start,
                bytes: bytes.len() as u64,
                used_bytes: 0,
                records: 0,
                entries: None,
            });
        }
        self.at = Some(Last { segment, header });
        self.resume.previous_crc = header.crc();
        self.resume.last_write = header.write_number();
        self.resume.cut_records = header.records_left();
        self.reached_durable |=
            header.write_number() == self.start.durable.write_number && header.crc() == self.start.durable.crc;
        // A complete write ends where its last block does. After a cut one the next begins in the block after what counts.
        self.resume.offset = if header.records_left() == 0 { header.write_end() } else { header.end() };
        self.records += 1;
        self.body_bytes += view.body.len() as u64;
        let summary = self.summaries.last_mut().expect("pushed with the segment's first record");
        summary.records += 1;
        summary.used_bytes = self.resume.offset;
        if header.kind() == RecordKind::Entry {
            self.entries += 1;
            if !void {
                let (low, high) = summary.entries.unwrap_or((header.index(), header.index()));
                summary.entries = Some((low.min(header.index()), high.max(header.index())));
            }
        }
        Ok(())
    }

    fn accept_entry<E>(
        &mut self,
        segment: usize,
        view: RecordView<'a>,
        visit: &mut dyn FnMut(LogEvent<'_>) -> Result<(), E>,
    ) -> Result<(), RecoveryError<E>> {
        let (index, term) = (view.header.index(), view.header.term());
        let bound = LogIndex(self.told.unwrap_or(self.start.index).0 + 1);
        if index > bound || index.0 == 0 {
            let fault = RecordFault::Order { field: "index", bound: bound.0, found: index.0 };
            return Err(self.corruption_at(segment, view.header.offset(), fault).into());
        }
        if index == bound && term < self.resume.last_term {
            let fault = RecordFault::Order { field: "term", bound: self.resume.last_term.0, found: term.0 };
            if self.told.is_some() {
                return Err(self.corruption_at(segment, view.header.offset(), fault).into());
            }
            self.replaced = Some((segment, view.header.offset(), fault));
        }
        if self.told.is_some() && index < bound {
            visit(LogEvent::Truncate(index)).map_err(RecoveryError::Visitor)?;
        }
        if index <= self.start.index {
            self.replaced = None;
            self.term_at_start = (index == self.start.index).then_some(term);
        }
        self.told = Some(index);
        self.resume.last_index = index;
        self.resume.last_term = term;
        visit(LogEvent::Entry(view)).map_err(RecoveryError::Visitor)
    }

    /// Holds the end of the log against the checkpoint, which has only committed entries.
    fn meet_checkpoint<E>(
        &mut self,
        visit: &mut dyn FnMut(LogEvent<'_>) -> Result<(), E>,
    ) -> Result<(), RecoveryError<E>> {
        if let Some((segment, offset, fault)) = self.replaced.take() {
            return Err(self.corruption_at(segment, offset, fault).into());
        }
        if let Some(term) = self.term_at_start.filter(|term| *term != self.start.term) {
            let fault =
                RecordFault::Order { field: "term at the checkpoint's index", bound: self.start.term.0, found: term.0 };
            let (segment, offset) = self.bad_place();
            return Err(self.corruption(segment, offset, fault).into());
        }
        if self.told.is_some_and(|told| told < self.start.index) {
            self.resume.last_index = self.start.index;
            self.resume.last_term = self.start.term;
            visit(LogEvent::Superseded).map_err(RecoveryError::Visitor)?;
        }
        Ok(())
    }

    /// Tells whether the log may end here.
    fn judge(&self, End { fault, broken_chain }: End) -> Result<Remains, Box<Corruption>> {
        let expected = self.expected();
        let from = self.at.map_or(0, |last| last.segment);
        let mut remains = Remains::search(self.identity, &self.segments[from..], &expected);
        // A broken chain: the first record of the next write, in its place, names another record than the last one here.
        if remains.evidence.is_some() || broken_chain || !self.reached_durable {
            // Without a single record of the segment of the start, the likeliest reason is a missing file.
            let missing = self.at.is_none() && self.segments.first().is_none_or(|(id, _)| *id != self.start.segment);
            let fault = if missing { RecordFault::MissingSegment } else { fault };
            let (segment, offset) = self.bad_place();
            let mut corruption = self.corruption(segment, offset, fault);
            corruption.evidence = remains.evidence.take();
            return Err(corruption);
        }
        Ok(remains)
    }

    fn expected(&self) -> Expected {
        let left = self.at.map_or(0, |last| last.header.records_left());
        Expected {
            write: WriteNumber(self.resume.last_write.0 + u64::from(left == 0)),
            cut_records: left,
            last_index: self.resume.last_index.max(self.start.index),
            offset: self.at.map_or(0, |_| self.resume.offset),
            torn_write_end: self.at.filter(|_| left > 0).map(|last| last.header.write_end()),
        }
    }

    /// Where the next record was most likely to be.
    fn bad_place(&self) -> (SegmentId, u64) {
        let Some(last) = self.at else {
            return (self.start.segment, 0);
        };
        let (segment, bytes) = self.segments[last.segment];
        let full = self.resume.offset.saturating_add(HEADER_BYTES as u64) > bytes.len() as u64;
        match self.segments.get(last.segment + 1) {
            Some((next, _)) if full => (*next, 0),
            _ => (segment, self.resume.offset),
        }
    }

    fn corruption_at(&self, segment: usize, offset: u64, fault: RecordFault) -> Box<Corruption> {
        self.corruption(self.segments[segment].0, offset, fault)
    }

    fn corruption(&self, segment: SegmentId, offset: u64, fault: RecordFault) -> Box<Corruption> {
        let expected = self.expected();
        Box::new(Corruption {
            shard: self.identity.shard,
            segment,
            offset,
            expected_write: expected.write,
            expected_index: LogIndex(self.told.unwrap_or(self.start.index).0 + 1),
            fault,
            evidence: None,
        })
    }

    fn finish(self, remains: Remains) -> Recovered {
        let used: BTreeSet<SegmentId> = self.summaries.iter().map(|summary| summary.start.segment).collect();
        let mut sync: BTreeSet<SegmentId> = remains.torn.iter().map(|range| range.segment).collect();
        sync.extend(self.summaries.last().map(|summary| summary.start.segment));
        Recovered {
            last_index: self.resume.last_index,
            last_term: self.resume.last_term,
            resume: self.resume,
            torn: remains.torn,
            sync: sync.into_iter().collect(),
            unused: self.segments.iter().map(|(id, _)| *id).filter(|id| !used.contains(id)).collect(),
            segments: self.summaries,
            records: self.records,
            entries: self.entries,
            body_bytes: self.body_bytes,
        }
    }
}
