//! Writing a checkpoint: items in, aligned chunks out, to be written one after the other into a file of its own.

use crate::limits::{CHECKPOINT_BATCH_BYTES_MAX, CHECKPOINT_CHUNK_BYTES, RECORD_BODY_BYTES_MAX};
use std::collections::VecDeque;

use bytes::Bytes;

use super::buffer::AlignedBuffer;
use super::checkpoint::{CheckpointBase, ITEM_LENGTH_BYTES};
use super::record::{
    BLOCK_BYTES_MAX, HEADER_BYTES, LogIdentity, LogPosition, RecordFields, RecordHeader, RecordKind, record_bytes,
};
use crate::ids::{SegmentId, WriteNumber};

/// A part of the file, for a direct write.
#[derive(Debug)]
pub struct CheckpointChunk {
    /// The file.
    pub segment: SegmentId,
    /// Where in the file.
    pub offset: u64,
    /// The bytes, a multiple of the largest logical block.
    pub buffer: AlignedBuffer,
}

/// What a finished checkpoint amounts to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointSummary {
    /// How many items.
    pub items: u64,
    /// The bytes of all items.
    pub item_bytes: u64,
    /// The bytes of the file, once all chunks are written.
    pub file_bytes: u64,
}

/// Lays out a checkpoint. What it holds in memory is what was pushed and not yet taken.
#[derive(Debug)]
pub struct CheckpointWriter {
    identity: LogIdentity,
    segment: SegmentId,
    base: CheckpointBase,
    /// The items of the record being gathered, lengths included.
    batch: Vec<u8>,
    /// Where the record being gathered will start.
    record_offset: u64,
    /// The number of that record, from 1.
    record: u64,
    previous_crc: u32,
    items: u64,
    item_bytes: u64,
    /// Laid out and not yet taken.
    pending: VecDeque<Bytes>,
    pending_bytes: usize,
    taken_bytes: u64,
    finished: bool,
    spare_buffer: Option<AlignedBuffer>,
}

impl CheckpointWriter {
    /// Begins a checkpoint in the file with this id.
    pub fn new(identity: LogIdentity, segment: SegmentId, base: CheckpointBase) -> Self {
        let mut writer = Self {
            identity,
            segment,
            base,
            batch: Vec::new(),
            record_offset: 0,
            record: 1,
            previous_crc: 0,
            items: 0,
            item_bytes: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            taken_bytes: 0,
            finished: false,
            spare_buffer: None,
        };
        let body = [&writer.base.start.encode()[..], &writer.base.meta].concat();
        writer.record(RecordKind::CheckpointHeader, &[Bytes::from(body)]);
        writer
    }

    /// Adds an item. Returns where its bytes will lie.
    pub fn push(&mut self, item: &[u8]) -> LogPosition {
        if ITEM_LENGTH_BYTES + item.len() > CHECKPOINT_BATCH_BYTES_MAX {
            return self.push_large(&[], Bytes::copy_from_slice(item));
        }
        self.push_small(&[item]);
        self.place(item.len())
    }

    /// Adds an item that ends with a large value, which is not copied before its chunk is taken. Returns where the value will lie.
    ///
    /// The value is read here for its checksum, and again when it is taken: the caller sees to it that it is in memory.
    pub fn push_with_value(&mut self, head: &[u8], value: Bytes) -> LogPosition {
        if ITEM_LENGTH_BYTES + head.len() + value.len() > CHECKPOINT_BATCH_BYTES_MAX {
            return self.push_large(head, value);
        }
        self.push_small(&[head, &value]);
        self.place(value.len())
    }

    /// The next chunk, once enough was pushed; after `finish`, what is left, until `None`.
    pub fn take_chunk(&mut self) -> Option<CheckpointChunk> {
        if self.pending_bytes == 0 || (self.pending_bytes < CHECKPOINT_CHUNK_BYTES && !self.finished) {
            return None;
        }
        let spare = self.spare_buffer.take();
        let mut buffer = spare.unwrap_or_else(|| AlignedBuffer::with_capacity(CHECKPOINT_CHUNK_BYTES));
        buffer.clear();
        while buffer.len() < CHECKPOINT_CHUNK_BYTES {
            let Some(piece) = self.pending.front_mut() else { break };
            let part = piece.split_to(piece.len().min(CHECKPOINT_CHUNK_BYTES - buffer.len()));
            if piece.is_empty() {
                self.pending.pop_front();
            }
            buffer.push(&part);
        }
        self.pending_bytes -= buffer.len();
        buffer.pad_to(BLOCK_BYTES_MAX as usize);
        let offset = self.taken_bytes;
        self.taken_bytes += buffer.len() as u64;
        Some(CheckpointChunk { segment: self.segment, offset, buffer })
    }

    /// Gives a written chunk's buffer back to be used again.
    pub fn give_back(&mut self, chunk: CheckpointChunk) {
        self.spare_buffer = Some(chunk.buffer);
    }

    /// The bytes that were pushed and not yet taken.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes + self.batch.len()
    }

    /// Adds the end, without which the file does not count. Nothing can be pushed after it.
    pub fn finish(&mut self) -> CheckpointSummary {
        self.flush();
        let body = [self.items.to_le_bytes(), self.item_bytes.to_le_bytes()].concat();
        self.record(RecordKind::CheckpointEnd, &[Bytes::from(body)]);
        self.finished = true;
        CheckpointSummary {
            items: self.items,
            item_bytes: self.item_bytes,
            file_bytes: self.record_offset.next_multiple_of(u64::from(BLOCK_BYTES_MAX)),
        }
    }

    fn push_small(&mut self, parts: &[&[u8]]) {
        assert!(!self.finished, "an item after the end of a checkpoint");
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if self.batch.len() + ITEM_LENGTH_BYTES + bytes > CHECKPOINT_BATCH_BYTES_MAX {
            self.flush();
        }
        self.batch.extend_from_slice(&(bytes as u32).to_le_bytes());
        for part in parts {
            self.batch.extend_from_slice(part);
        }
        self.items += 1;
        self.item_bytes += bytes as u64;
    }

    /// The last bytes of the record being gathered.
    fn place(&self, bytes: usize) -> LogPosition {
        LogPosition {
            segment: self.segment,
            offset: self.record_offset + (HEADER_BYTES + self.batch.len() - bytes) as u64,
            bytes: bytes as u64,
        }
    }

    fn push_large(&mut self, head: &[u8], value: Bytes) -> LogPosition {
        assert!(!self.finished, "an item after the end of a checkpoint");
        self.flush();
        let bytes = head.len() + value.len();
        assert!(ITEM_LENGTH_BYTES + bytes <= RECORD_BODY_BYTES_MAX, "an item of {bytes} bytes");
        let position = LogPosition {
            segment: self.segment,
            offset: self.record_offset + (HEADER_BYTES + ITEM_LENGTH_BYTES + head.len()) as u64,
            bytes: value.len() as u64,
        };
        let lead = [&(bytes as u32).to_le_bytes()[..], head].concat();
        self.record(RecordKind::CheckpointItems, &[Bytes::from(lead), value]);
        self.items += 1;
        self.item_bytes += bytes as u64;
        position
    }

    /// Ends the record being gathered.
    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.record(RecordKind::CheckpointItems, &[Bytes::from(batch)]);
        }
    }

    /// Lays out one record whose body is these parts.
    fn record(&mut self, kind: RecordKind, body: &[Bytes]) {
        let bytes: usize = body.iter().map(Bytes::len).sum();
        let body_crc = body.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
        let record_bytes = record_bytes(bytes);
        let start = &self.base.start;
        let fields = RecordFields {
            kind,
            flags: 0,
            term: start.term,
            index: start.index,
            commit_ts: self.base.commit_ts,
            segment: self.segment,
            offset: self.record_offset,
            write_number: WriteNumber(self.record),
            durable_mark: start.index,
            previous_crc: self.previous_crc,
            records_left: 0,
            write_bytes_left: u32::try_from(record_bytes).expect("bodies are bounded below 4 GiB"),
            cut_before: 0,
        };
        let header = RecordHeader::seal(self.identity, fields, bytes, body_crc);
        self.append(Bytes::copy_from_slice(bytemuck::bytes_of(&header)));
        for part in body {
            self.append(part.clone());
        }
        let padding = record_bytes as usize - HEADER_BYTES - bytes;
        self.append(Bytes::from_static(&[0; 8]).slice(..padding));
        self.record_offset += record_bytes;
        self.record += 1;
        self.previous_crc = header.crc();
    }

    fn append(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pending_bytes += piece.len();
            self.pending.push_back(piece);
        }
    }
}
