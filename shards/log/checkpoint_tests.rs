//! Checkpoints: what is pushed comes back from where it was said to lie; what is not whole does not count.

use bytes::Bytes;
use proptest::prelude::*;

use super::fixture::IDENTITY;
use super::*;
use crate::ids::{LogIndex, SegmentId, ShardId, Term, Timestamp, WriteNumber};

const SEGMENT: SegmentId = SegmentId(9);

fn base() -> CheckpointBase {
    CheckpointBase {
        start: LogStart {
            index: LogIndex(77),
            term: Term(3),
            segment: SegmentId(8),
            first_write: WriteNumber(5),
            previous_crc: 1234,
            durable: DurableEnd { write_number: WriteNumber(6), crc: 7 },
            void_through: WriteNumber(0),
        },
        commit_ts: Timestamp(99),
        meta: b"voters".to_vec(),
    }
}

/// Takes the chunks there are and appends them to a file.
fn drain(writer: &mut CheckpointWriter, file: &mut Vec<u8>) {
    while let Some(chunk) = writer.take_chunk() {
        assert_eq!(chunk.offset, file.len() as u64, "chunks come at increasing offsets without gaps");
        assert!((chunk.buffer.as_ptr() as usize).is_multiple_of(BUFFER_ALIGNMENT_BYTES));
        assert!(chunk.buffer.len().is_multiple_of(BLOCK_BYTES_MAX as usize));
        file.extend_from_slice(&chunk.buffer);
        writer.give_back(chunk);
    }
}

fn file_of(items: &[Vec<u8>]) -> (Vec<u8>, Vec<LogPosition>, CheckpointSummary) {
    let mut writer = CheckpointWriter::new(IDENTITY, SEGMENT, base());
    let (mut file, mut places) = (Vec::new(), Vec::new());
    for item in items {
        places.push(writer.push(item));
        drain(&mut writer, &mut file);
    }
    let summary = writer.finish();
    drain(&mut writer, &mut file);
    assert_eq!(writer.pending_bytes(), 0);
    assert_eq!(summary.file_bytes, file.len() as u64);
    (file, places, summary)
}

#[test]
fn what_was_pushed_comes_back_with_its_place() {
    let sizes = [0, 1, 100, 300 << 10, 7, 256 << 10, (256 << 10) - 4, 3 << 20, 12];
    let items: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
    let (file, places, summary) = file_of(&items);
    let checkpoint = Checkpoint::read(IDENTITY, SEGMENT, &file).unwrap();
    assert_eq!(checkpoint.base(), &base());
    assert_eq!((checkpoint.item_count(), checkpoint.item_bytes()), (summary.items, summary.item_bytes));
    let found: Vec<(LogPosition, Vec<u8>)> = checkpoint.items().map(|(place, item)| (place, item.to_vec())).collect();
    assert_eq!(found, places.iter().copied().zip(items).collect::<Vec<_>>());
    for (place, item) in found {
        assert_eq!(&file[place.offset as usize..][..place.bytes as usize], item);
    }
}

#[test]
fn the_newest_whole_checkpoint_is_chosen_and_newer_damaged_ones_are_told() {
    let (good, _, _) = file_of(&[b"item".to_vec()]);
    let files = [(SegmentId(8), &b"older"[..]), (SEGMENT, &good[..]), (SegmentId(12), &good[..200])];
    let (chosen, damaged) = newest_checkpoint(IDENTITY, &files);
    assert_eq!(chosen.unwrap().segment(), SEGMENT);
    assert_eq!(damaged.iter().map(|error| error.segment).collect::<Vec<_>>(), [SegmentId(12)]);
    assert!(newest_checkpoint(IDENTITY, &[]).0.is_none());
    assert!(newest_checkpoint(IDENTITY, &[(SEGMENT, &good[..100])]).0.is_none());
}

#[test]
fn a_moved_value_lies_where_the_writer_said() {
    for bytes in [10, 300 << 10, 5 << 20] {
        let mut writer = CheckpointWriter::new(IDENTITY, SEGMENT, base());
        let mut file = Vec::new();
        writer.push(b"before");
        let place = writer.push_with_value(b"key", Bytes::from(vec![0xcd; bytes]));
        writer.push(b"after");
        writer.finish();
        drain(&mut writer, &mut file);
        assert_eq!(place.bytes, bytes as u64);
        assert!(file[place.offset as usize..][..bytes].iter().all(|byte| *byte == 0xcd));
        let checkpoint = Checkpoint::read(IDENTITY, SEGMENT, &file).unwrap();
        let (item_place, item) = checkpoint.items().nth(1).unwrap();
        assert_eq!(item_place.part(3, bytes), place);
        assert!(item.starts_with(b"key"));
    }
}

#[test]
fn an_empty_checkpoint_counts() {
    let (file, _, _) = file_of(&[]);
    let checkpoint = Checkpoint::read(IDENTITY, SEGMENT, &file).unwrap();
    assert_eq!(checkpoint.items().count(), 0);
    assert_eq!(checkpoint.record_count(), 2);
}

#[test]
fn a_checkpoint_cut_anywhere_does_not_count() {
    let items: Vec<Vec<u8>> = (0..40u8).map(|byte| vec![byte; 60]).collect();
    let (file, _, _) = file_of(&items);
    let content = file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in 0..content {
        assert!(Checkpoint::read(IDENTITY, SEGMENT, &file[..cut]).is_err(), "cut at {cut}");
        let mut zeroed = file.clone();
        zeroed[cut..].fill(0);
        assert!(Checkpoint::read(IDENTITY, SEGMENT, &zeroed).is_err(), "zeros from {cut}");
    }
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_seen() {
    let items: Vec<Vec<u8>> = (0..10u8).map(|byte| vec![byte; 30]).collect();
    let (file, _, _) = file_of(&items);
    let header_end = record_bytes(LogStart::ENCODED_BYTES + 6);
    let items_end = header_end + record_bytes(10 * 34);
    let covered = |byte: u64| {
        let header = byte < (HEADER_BYTES + LogStart::ENCODED_BYTES + 6) as u64;
        let batch = (header_end..header_end + (HEADER_BYTES + 340) as u64).contains(&byte);
        let end = (items_end..items_end + (HEADER_BYTES + 16) as u64).contains(&byte);
        header || batch || end
    };
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let read = Checkpoint::read(IDENTITY, SEGMENT, &damaged);
        assert_eq!(read.is_err(), covered(bit as u64 / 8), "bit {bit}: {:?}", read.map(|_| ()));
    }
}

#[test]
fn a_checkpoint_under_another_name_does_not_count() {
    let (file, _, _) = file_of(&[b"item".to_vec()]);
    let other_shard = LogIdentity { shard: ShardId(1), ..IDENTITY };
    assert!(Checkpoint::read(other_shard, SEGMENT, &file).is_err());
    let error = Checkpoint::read(IDENTITY, SegmentId(10), &file).unwrap_err();
    assert_eq!((error.offset, error.record), (0, 1));
    assert!(error.to_string().contains("segment is 9, expected 10"), "{error}");
}

#[test]
fn a_log_is_no_checkpoint_and_a_checkpoint_no_log() {
    let (file, _, _) = file_of(&[b"item".to_vec()]);
    let segments = [(SEGMENT, file)].into();
    let start = LogStart::empty(SEGMENT);
    let refused = super::fixture::recover_bytes(&segments, &start).unwrap_err();
    assert!(matches!(refused.fault, RecordFault::Kind { .. }));
    let mut disk = super::fixture::Disk::new(512, 4096);
    disk.append(&[super::fixture::entry(1, 1, b"x")]);
    assert!(Checkpoint::read(IDENTITY, SegmentId(1), &disk.segments[&SegmentId(1)]).is_err());
}

proptest! {
    #[test]
    fn any_items_come_back(items in prop::collection::vec(
        prop_oneof![
            20 => prop::collection::vec(any::<u8>(), 0..200),
            1 => (any::<u8>(), 200_000..600_000usize).prop_map(|(byte, size)| vec![byte; size]),
        ], 0..60)
    ) {
        let (file, places, _) = file_of(&items);
        let checkpoint = Checkpoint::read(IDENTITY, SEGMENT, &file).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(checkpoint.items().map(|(place, item)| (place, item.to_vec())).eq(places.into_iter().zip(items)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Checkpoint::read(IDENTITY, SEGMENT, &bytes).is_err());
    }
}
