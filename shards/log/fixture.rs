//! A disk of bytes for tests of the log: what the shell does, without files.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::ids::{LogIndex, SegmentId, ShardId, Term, Timestamp};

pub(super) const IDENTITY: LogIdentity = LogIdentity { shard: ShardId(3), salt: 0x1234_5678 };

/// What recovery told, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Entry(u64, u64, Vec<u8>),
    HardState(u64, Vec<u8>),
    Truncate(u64),
    Superseded,
}

impl Event {
    fn of(event: LogEvent<'_>) -> Self {
        match event {
            LogEvent::Entry(view) => Self::Entry(view.header.index().0, view.header.term().0, view.body.to_vec()),
            LogEvent::HardState(view) => Self::HardState(view.header.term().0, view.body.to_vec()),
            LogEvent::Truncate(index) => Self::Truncate(index.0),
            LogEvent::Superseded => Self::Superseded,
        }
    }
}

/// Terms and bodies by index.
pub(super) type Entries = BTreeMap<u64, (u64, Vec<u8>)>;

/// The entries that stand after these events, and the last hard state.
pub(super) fn replay(events: &[Event]) -> (Entries, Option<(u64, Vec<u8>)>) {
    let mut entries = BTreeMap::new();
    let mut hard_state = None;
    for event in events {
        match event {
            Event::Entry(index, term, body) => {
                assert!(entries.insert(*index, (*term, body.clone())).is_none(), "entry {index} twice");
            }
            Event::HardState(term, body) => hard_state = Some((*term, body.clone())),
            Event::Truncate(from) => {
                assert!(!entries.split_off(from).is_empty(), "nothing to truncate from {from}");
            }
            Event::Superseded => entries.clear(),
        }
    }
    (entries, hard_state)
}

pub(super) fn entry(index: u64, term: u64, body: &[u8]) -> PendingRecord {
    PendingRecord {
        kind: RecordKind::Entry,
        flags: 0,
        term: Term(term),
        index: LogIndex(index),
        commit_ts: Timestamp(index * 10),
        body: Bytes::copy_from_slice(body),
    }
}

pub(super) fn hard_state(term: u64, body: &[u8]) -> PendingRecord {
    PendingRecord {
        kind: RecordKind::HardState,
        flags: 0,
        term: Term(term),
        index: LogIndex(0),
        commit_ts: Timestamp(0),
        body: Bytes::copy_from_slice(body),
    }
}

/// Segments as bytes, and the writer that fills them.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) config: LogConfig,
    pub(super) start: LogStart,
    pub(super) segments: BTreeMap<SegmentId, Vec<u8>>,
    pub(super) writer: LogWriter,
}

impl Disk {
    /// An empty log with two segments of zeros.
    pub(super) fn new(block_bytes: u32, segment_bytes: u64) -> Self {
        let config = LogConfig { segment_bytes, block_bytes };
        let start = LogStart::empty(SegmentId(1));
        let writer = LogWriter::new(IDENTITY, config, ResumePoint::empty(&start));
        let mut disk = Self { config, start, segments: BTreeMap::new(), writer };
        disk.add_segment(segment_bytes);
        disk.add_segment(segment_bytes);
        disk
    }

    pub(super) fn add_segment(&mut self, bytes: u64) -> SegmentId {
        self.add_segment_with(vec![0; bytes as usize])
    }

    /// Adds a segment that holds these bytes, as a recycled one does.
    pub(super) fn add_segment_with(&mut self, bytes: Vec<u8>) -> SegmentId {
        let id = SegmentId(self.segments.last_key_value().map_or(1, |(id, _)| id.0 + 1));
        self.writer.add_segment(id, bytes.len() as u64);
        self.segments.insert(id, bytes);
        id
    }

    /// Plans a write, adding a segment where one is needed.
    pub(super) fn plan(&mut self, records: &[PendingRecord]) -> LogWrite {
        match self.writer.plan(records) {
            Ok(write) => write,
            Err(NoSegment { bytes_needed }) => {
                self.add_segment(bytes_needed);
                self.writer.plan(records).expect("a segment of the size that was asked for")
            }
        }
    }

    /// Brings a write to the disk and tells the writer.
    pub(super) fn apply(&mut self, write: LogWrite) {
        self.store(&write);
        self.writer.completed(write);
    }

    /// Brings a write to the disk.
    pub(super) fn store(&mut self, write: &LogWrite) {
        let segment = self.segments.get_mut(&write.segment).expect("a segment that was added");
        segment[write.offset as usize..][..write.buffer.len()].copy_from_slice(&write.buffer);
    }

    pub(super) fn append(&mut self, records: &[PendingRecord]) {
        let write = self.plan(records);
        self.apply(write);
    }

    pub(super) fn recover(&self) -> Result<(Vec<Event>, Recovered), Box<Corruption>> {
        recover_bytes(&self.segments, &self.start)
    }

    /// Recovers, does what recovery asks for, and goes on with a new writer.
    pub(super) fn restart(&mut self) -> Result<(Vec<Event>, Recovered), Box<Corruption>> {
        let (events, recovered) = self.recover()?;
        for range in &recovered.torn {
            let segment = self.segments.get_mut(&range.segment).expect("a known segment");
            segment[range.offset as usize..][..range.bytes as usize].fill(0);
        }
        self.writer = LogWriter::new(IDENTITY, self.config, recovered.resume.clone());
        for id in &recovered.unused {
            if *id > recovered.resume.start.segment || recovered.resume.segment_bytes == 0 {
                self.writer.add_segment(*id, self.segments[id].len() as u64);
            }
        }
        Ok((events, recovered))
    }
}

/// Recovers a log from bytes.
pub(super) fn recover_bytes(
    segments: &BTreeMap<SegmentId, Vec<u8>>,
    start: &LogStart,
) -> Result<(Vec<Event>, Recovered), Box<Corruption>> {
    let slices: Vec<(SegmentId, &[u8])> = segments.iter().map(|(id, bytes)| (*id, bytes.as_slice())).collect();
    let mut events = Vec::new();
    let result = recover::<std::convert::Infallible>(IDENTITY, &slices, start, &mut |event| {
        events.push(Event::of(event));
        Ok(())
    });
    match result {
        Ok(recovered) => Ok((events, recovered)),
        Err(RecoveryError::Corruption(corruption)) => Err(corruption),
        Err(RecoveryError::Visitor(never)) => match never {},
    }
}
