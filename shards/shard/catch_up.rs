//! Members that lag behind what is kept in memory: their entries are read back from the log.

use crate::group::{Entry, Wanted};
use crate::ids::{LogIndex, SegmentId};
use crate::keyspace::{ColdRange, Segments};
use crate::limits::LOG_READ_AHEAD_BYTES;
use crate::log::{EntryPlaces, HEADER_BYTES, LogIdentity, LogPosition, LogWrite, RecordKind, RecordView};
use crate::member::entry_of;
use crate::port::{CheckpointOrder, Outputs};
use crate::stored::{Unreadable, record};

use super::Shard;

impl Shard {
    /// Reads what Raft wants of the log: one stretch a tick, so that a tick stays short.
    pub(super) fn read_for_others(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.waits_for_entries {
            return;
        }
        let Some(wanted) = self.group.take_wanted() else { return };
        let entries = match read_entries(self.identity, self.group.places(), &wanted, segments) {
            Ok(entries) => entries,
            Err((_, Unreadable::Cold(range))) => {
                self.group.put_back(wanted);
                self.waits_for_entries = true;
                return outputs.checkpoint.push(CheckpointOrder::BringIn { range: self.read_ahead(range) });
            }
            Err((segment, Unreadable::Damaged(_))) => {
                // The member gets a snapshot instead.
                self.group.forget(segment);
                Vec::new()
            }
        };
        self.group.fetched(wanted, entries);
        self.turn(segments, outputs);
    }

    /// What the log waited for is in memory.
    pub(super) fn entries_brought_in(&mut self) {
        self.waits_for_entries = false;
    }

    /// The records of a write have their places in the log.
    pub(super) fn note_places(&mut self, write: &LogWrite) {
        if self.group.is_lone() {
            return;
        }
        for (&(index, term), LogPosition { segment, offset, .. }) in self.placing.iter().zip(&write.placements) {
            if index.0 != 0 {
                self.group.places_mut().push(index, term, *segment, offset - HEADER_BYTES as u64);
            }
        }
    }

    /// Segments that nobody needs serve again, or go; members that answer may need some of them yet.
    pub(super) fn dispose(&mut self, outputs: &mut Outputs) {
        for segment in self.housekeeping.dispose(self.group.needed_from(), &mut self.keyspace, outputs) {
            self.group.forget(segment);
        }
    }

    fn read_ahead(&self, range: ColdRange) -> ColdRange {
        let room = self.keyspace.segments().file_bytes(range.segment).saturating_sub(range.offset) as usize;
        ColdRange { len: range.len.max(LOG_READ_AHEAD_BYTES.min(room)), ..range }
    }
}

/// The wanted entries, or the first of them: as many as can be read at once and are wanted in bytes.
///
/// # Errors
/// Not even the first can be read; with the segment it lies in.
fn read_entries(
    identity: LogIdentity,
    places: &EntryPlaces,
    wanted: &Wanted,
    segments: &dyn Segments,
) -> Result<Vec<Entry>, (SegmentId, Unreadable)> {
    let mut entries = Vec::new();
    let (mut next, mut bytes) = (wanted.low, 0);
    while let Some((place, last)) = places.find(next).filter(|_| next < wanted.high) {
        let mut offset = place.offset;
        while next <= last && next < wanted.high {
            let (header, body) = match record(identity, place.segment, offset, segments) {
                Ok(record) => record,
                Err(_) if !entries.is_empty() => return Ok(entries),
                Err(error) => return Err((place.segment, error)),
            };
            offset = if header.records_left() == 0 { header.write_end() } else { header.end() };
            if header.kind() != RecordKind::Entry || header.index() < next {
                continue;
            }
            let strange = || (place.segment, Unreadable::Damaged(format!("entry {next} is not where it was written")));
            if (header.index(), header.term()) != (next, place.term) {
                return Err(strange());
            }
            bytes += body.len() as u64;
            if bytes > wanted.bytes_max && !entries.is_empty() {
                return Ok(entries);
            }
            entries.push(entry_of(RecordView { header, body }).map_err(|_| strange())?);
            next = LogIndex(next.0 + 1);
        }
    }
    Ok(entries)
}
