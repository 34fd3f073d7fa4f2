//! Where recovery begins: what a checkpoint says about the log that follows it.

use crate::ids::{LogIndex, SegmentId, Term, WriteNumber};

/// The last record that is known to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableEnd {
    /// Its write; 0 before the first.
    pub write_number: WriteNumber,
    /// Its checksum.
    pub crc: u32,
}

/// The point in a log from which it must be read, and what stands for everything before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogStart {
    /// The entries up to this index are in the checkpoint; 0 without one.
    pub index: LogIndex,
    /// The term of the entry at `index`.
    pub term: Term,
    /// The first segment to read, from its first byte.
    pub segment: SegmentId,
    /// The number of the first write in that segment (or in the first later one that was used).
    pub first_write: WriteNumber,
    /// The checksum of the record before that write.
    pub previous_crc: u32,
    /// What is known to have been durable when the checkpoint was made. If the log ends before it, it is damaged,
    /// even if nothing follows.
    pub durable: DurableEnd,
    /// Entries of writes up to this one are void: a checkpoint that came from elsewhere stands for the log as it was then. 0 without
    /// one; later checkpoints whose logs begin before it say so too.
    pub void_through: WriteNumber,
}

impl LogStart {
    /// The bytes of an encoded start.
    pub const ENCODED_BYTES: usize = 64;

    /// The start of a log without a checkpoint, whose segments begin with this one.
    pub fn empty(segment: SegmentId) -> Self {
        Self {
            index: LogIndex(0),
            term: Term(0),
            segment,
            first_write: WriteNumber(1),
            previous_crc: 0,
            durable: DurableEnd::default(),
            void_through: WriteNumber(0),
        }
    }

    /// Its bytes, for a checkpoint's header.
    pub fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let words = [
            self.index.0,
            self.term.0,
            self.segment.0,
            self.first_write.0,
            u64::from(self.previous_crc),
            self.durable.write_number.0,
            u64::from(self.durable.crc),
            self.void_through.0,
        ];
        let mut bytes = [0; Self::ENCODED_BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// What `encode` made; `None` for bytes that it cannot have made.
    pub fn decode(bytes: &[u8; Self::ENCODED_BYTES]) -> Option<Self> {
        let mut words = [0u64; 8];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().ok()?);
        }
        Some(Self {
            index: LogIndex(words[0]),
            term: Term(words[1]),
            segment: SegmentId(words[2]),
            first_write: WriteNumber(words[3]),
            previous_crc: u32::try_from(words[4]).ok()?,
            durable: DurableEnd { write_number: WriteNumber(words[5]), crc: u32::try_from(words[6]).ok()? },
            void_through: WriteNumber(words[7]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_its_encoding() {
        let start = LogStart {
            index: LogIndex(1),
            term: Term(2),
            segment: SegmentId(3),
            first_write: WriteNumber(4),
            previous_crc: 5,
            durable: DurableEnd { write_number: WriteNumber(u64::MAX), crc: 6 },
            void_through: WriteNumber(7),
        };
        assert_eq!(LogStart::decode(&start.encode()), Some(start));
        assert_eq!(LogStart::decode(&[0xff; 64]), None);
    }
}
