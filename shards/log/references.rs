//! Whether what a checkpoint refers to is still as it was written: values in segments that the log's recovery no longer reads.

use std::fmt;

use super::fault::RecordFault;
use super::record::{BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, LogIdentity, LogPosition, RecordHeader};
use super::segments::SegmentRole;

/// A value that a checkpoint refers to is damaged, or not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedValue {
    /// Where it should lie.
    pub place: LogPosition,
    /// The first byte of the record that should hold it, or of where that was looked for.
    pub offset: u64,
    /// What is wrong with that record.
    pub fault: RecordFault,
}

impl fmt::Display for DamagedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the checkpoint refers to a value at {}: at segment {} offset {} {}",
            self.place, self.place.segment, self.offset, self.fault
        )
    }
}

impl std::error::Error for DamagedValue {}

/// Checks the records that hold these values. Other bodies are not read: a value that nobody has any more may be as it likes.
///
/// # Errors
/// The first value that is not whole.
///
/// # Panics
/// When the places are not sorted, or not all of one segment.
pub fn check_references(
    identity: LogIdentity,
    role: SegmentRole,
    bytes: &[u8],
    places: &[LogPosition],
) -> Result<(), DamagedValue> {
    assert!(places.is_sorted(), "places are sorted");
    let Some(first) = places.first() else { return Ok(()) };
    assert!(places.iter().all(|place| place.segment == first.segment), "places are of one segment");
    let read = |offset| RecordHeader::read(identity, first.segment, bytes, offset);
    let mut record = read(0).map_err(|fault| DamagedValue { place: *first, offset: 0, fault })?;
    let mut checked = None;
    for &place in places {
        while record.end() <= place.offset {
            record =
                following(&record, role, &read).map_err(|(offset, fault)| DamagedValue { place, offset, fault })?;
        }
        let damaged = |fault| DamagedValue { place, offset: record.offset(), fault };
        if checked != Some(record.offset()) {
            record.body(bytes).map_err(damaged)?;
            checked = Some(record.offset());
        }
        let body = record.body_position();
        if place.offset < body.offset || place.offset.saturating_add(place.bytes) > body.offset + body.bytes {
            return Err(damaged(RecordFault::Malformed { what: "the value lies beside the record's body" }));
        }
    }
    Ok(())
}

/// The record behind this one; else where it was looked for, and what was there.
fn following(
    record: &RecordHeader,
    role: SegmentRole,
    read: &impl Fn(u64) -> Result<RecordHeader, RecordFault>,
) -> Result<RecordHeader, (u64, RecordFault)> {
    let end = match role {
        SegmentRole::Log if record.records_left() == 0 => record.write_end(),
        SegmentRole::Log | SegmentRole::Checkpoint => record.end(),
    };
    let found = read(end);
    if let (SegmentRole::Log, Err(_)) = (role, &found) {
        // Disks differ in their blocks; and behind a write that was cut the next begins with the next block.
        let from = end.next_multiple_of(u64::from(BLOCK_BYTES_MIN));
        let to = end.next_multiple_of(u64::from(BLOCK_BYTES_MAX));
        if let Some(next) = (from..=to).step_by(BLOCK_BYTES_MIN as usize).find_map(|offset| read(offset).ok()) {
            return Ok(next);
        }
    }
    found.map_err(|fault| (end, fault))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::super::*;
    use super::*;
    use crate::ids::SegmentId;

    /// A segment of writes of one and of several records, with where their bodies lie.
    fn segment() -> (Vec<u8>, Vec<LogPosition>) {
        let mut disk = Disk::new(512, 32 << 10);
        let mut places = Vec::new();
        for index in (1..=9).step_by(3) {
            let write = disk.plan(&[entry(index, 1, &[1; 700]), entry(index + 1, 1, &[2; 90])]);
            places.extend_from_slice(&write.placements);
            disk.apply(write);
            let write = disk.plan(&[entry(index + 2, 1, &[3; 2000])]);
            places.extend_from_slice(&write.placements);
            disk.apply(write);
        }
        (disk.segments[&SegmentId(1)].clone(), places)
    }

    fn check(bytes: &[u8], places: &[LogPosition]) -> Result<(), DamagedValue> {
        check_references(IDENTITY, SegmentRole::Log, bytes, places)
    }

    #[test]
    fn a_flipped_bit_in_a_value_is_found_and_one_in_a_value_that_nobody_has_is_not() {
        let (bytes, places) = segment();
        check(&bytes, &places).unwrap();
        let wanted: Vec<LogPosition> = places.iter().copied().step_by(2).map(|place| place.part(10, 20)).collect();
        for (at, place) in places.iter().enumerate() {
            for offset in [place.offset, place.offset + place.bytes - 1] {
                let mut flipped = bytes.clone();
                flipped[offset as usize] ^= 4;
                let found = check(&flipped, &wanted);
                assert_eq!(found.is_err(), at % 2 == 0, "{place}: {found:?}");
                if let Err(damaged) = found {
                    assert_eq!(damaged.offset, place.offset - HEADER_BYTES as u64);
                }
            }
        }
    }

    #[test]
    fn values_behind_the_end_of_a_file_or_beside_any_record_are_refused() {
        let (bytes, places) = segment();
        let last = places[places.len() - 1];
        assert!(check(&bytes[..last.offset as usize + 5], &places).is_err());
        assert!(check(&[], &places).is_err());
        assert!(check(&bytes, &[LogPosition { offset: last.offset - 1, ..last }]).is_err());
        assert!(check(&bytes, &[LogPosition { bytes: last.bytes + 1, ..last }]).is_err());
        assert!(check(&bytes, &[LogPosition { offset: 20_000, ..last }]).is_err());
    }

    #[test]
    fn what_follows_a_write_that_was_cut_is_found() {
        let mut disk = Disk::new(512, 32 << 10);
        disk.append(&[entry(1, 1, &[1; 100])]);
        let write = disk.plan(&[entry(2, 1, &[2; 600]), entry(3, 1, &[3; 600])]);
        let second = write.placements[1].offset;
        disk.store(&write);
        disk.segments.get_mut(&SegmentId(1)).unwrap()[second as usize + 300..].fill(0);
        disk.restart().unwrap();
        let write = disk.plan(&[entry(3, 1, &[4; 600])]);
        let place = write.placements[0];
        disk.apply(write);
        let bytes = &disk.segments[&SegmentId(1)];
        check(bytes, &[place]).unwrap();
    }
}
