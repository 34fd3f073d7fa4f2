//! Buffers for direct I/O: the first byte at a multiple of 4096, filled once, reused without being zeroed.

use std::ops::Deref;

/// Where a buffer's bytes start in memory: at a multiple of this.
pub const BUFFER_ALIGNMENT_BYTES: usize = 4096;

/// Small buffers are made at least this large, so that one serves many writes.
const BUFFER_BYTES_MIN: usize = 64 << 10;

/// Up to here sizes are powers of two, so that a growing load settles soon; beyond, a buffer is made to measure.
const BUFFER_DOUBLING_BYTES_MAX: usize = 1 << 20;

/// Owned bytes that direct I/O accepts. It never moves or grows once made: its address stays valid while it is owned.
#[derive(Debug)]
pub struct AlignedBuffer {
    /// `start` bytes of filler, then the content.
    storage: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for at least `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let room = bytes.max(BUFFER_BYTES_MIN);
        let room = if room <= BUFFER_DOUBLING_BYTES_MAX {
            room.next_power_of_two()
        } else {
            room.next_multiple_of(BUFFER_ALIGNMENT_BYTES)
        };
        let mut storage: Vec<u8> = Vec::with_capacity(room + BUFFER_ALIGNMENT_BYTES);
        let address = storage.as_ptr() as usize;
        let start = address.next_multiple_of(BUFFER_ALIGNMENT_BYTES) - address;
        storage.resize(start, 0);
        Self { storage, start }
    }

    /// How many bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.storage.capacity() - self.start
    }

    /// Forgets the content; the memory stays.
    pub fn clear(&mut self) {
        self.storage.truncate(self.start);
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When there is no room: growing would move the bytes away from their alignment.
    pub fn push(&mut self, bytes: &[u8]) {
        self.assert_room(bytes.len());
        self.storage.extend_from_slice(bytes);
    }

    /// Appends zeros until the length is a multiple of `bytes`.
    ///
    /// # Panics
    /// When there is no room.
    pub fn pad_to(&mut self, bytes: usize) {
        let length = self.len();
        let padded = length.next_multiple_of(bytes);
        self.assert_room(padded - length);
        self.storage.resize(self.start + padded, 0);
    }

    fn assert_room(&self, more: usize) {
        assert!(
            more <= self.storage.capacity() - self.storage.len(),
            "{more} bytes more in an aligned buffer of {} with {}",
            self.capacity(),
            self.len()
        );
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_stays_where_it_is() {
        for bytes in [0, 1, 5000, 65536, 70_000, 3 << 20] {
            let mut buffer = AlignedBuffer::with_capacity(bytes);
            let address = buffer.as_ptr() as usize;
            assert!(address.is_multiple_of(BUFFER_ALIGNMENT_BYTES));
            assert!(buffer.capacity() >= bytes);
            buffer.push(&vec![7; bytes]);
            assert_eq!(buffer.as_ptr() as usize, address);
            assert_eq!(buffer.len(), bytes);
            buffer.clear();
            assert!(buffer.is_empty());
            assert_eq!(buffer.as_ptr() as usize, address);
        }
    }

    #[test]
    fn padding_is_zero_also_after_reuse() {
        let mut buffer = AlignedBuffer::with_capacity(4096);
        buffer.push(&[9; 4096]);
        buffer.clear();
        buffer.push(b"abc");
        buffer.pad_to(8);
        assert_eq!(&buffer[..], b"abc\0\0\0\0\0");
        buffer.pad_to(512);
        assert_eq!(buffer.len(), 512);
        assert!(buffer[3..].iter().all(|b| *b == 0));
    }

    #[test]
    #[should_panic(expected = "aligned buffer")]
    fn it_never_grows() {
        let mut buffer = AlignedBuffer::with_capacity(1);
        let all = buffer.capacity();
        buffer.push(&vec![0; all + 1]);
    }
}
