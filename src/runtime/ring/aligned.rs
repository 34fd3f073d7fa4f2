//! Memory that a disk takes directly: page-aligned, always initialised.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Addresses and capacities of [`AlignedBuffer`] are multiples of this: a page, and no less than a logical block.
pub const BUFFER_ALIGNMENT_BYTES: usize = 4096;

/// A growing byte buffer for O_DIRECT writes. Bytes beyond its length are initialised too, with unspecified contents.
pub struct AlignedBuffer {
    pointer: NonNull<u8>,
    capacity: usize,
    length: usize,
}

// SAFETY: the memory is owned, as a Vec's is; no other pointer to it exists.
unsafe impl Send for AlignedBuffer {}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes`, rounded up to the alignment; at least one page.
    pub fn with_capacity(bytes: usize) -> Self {
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is at least one page, so never zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(pointer) else {
            handle_alloc_error(layout)
        };
        Self {
            pointer,
            capacity: layout.size(),
            length: 0,
        }
    }

    fn layout(bytes: usize) -> Layout {
        let size = bytes.max(1).next_multiple_of(BUFFER_ALIGNMENT_BYTES);
        Layout::from_size_align(size, BUFFER_ALIGNMENT_BYTES)
            .expect("a buffer is smaller than the address space")
    }

    /// The room in bytes before the buffer must move.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for `additional` more bytes; at least doubles when it has to move.
    pub fn reserve(&mut self, additional: usize) {
        let needed = self
            .length
            .checked_add(additional)
            .expect("a buffer is smaller than the address space");
        if needed > self.capacity {
            let mut larger = Self::with_capacity(needed.max(self.capacity * 2));
            larger.length = self.length;
            larger.copy_from_slice(self);
            *self = larger;
        }
    }

    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let start = self.length;
        self.length += bytes.len();
        self[start..].copy_from_slice(bytes);
    }

    /// Appends zeros up to a multiple of `block_bytes`, which must be a power of two.
    pub fn pad_to_multiple(&mut self, block_bytes: usize) {
        assert!(block_bytes.is_power_of_two(), "blocks are powers of two");
        let padded = self.length.next_multiple_of(block_bytes);
        self.reserve(padded - self.length);
        let start = self.length;
        self.length = padded;
        self[start..].fill(0);
    }

    /// Forgets the contents and keeps the memory.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Keeps the first `bytes` bytes.
    pub fn truncate(&mut self, bytes: usize) {
        self.length = self.length.min(bytes);
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the allocation is initialised (zeroed when made) and at least `length` bytes long.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.length) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_capacity` with the layout of this very capacity.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.capacity)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_aligned_and_keeps_its_bytes_while_it_grows() {
        let mut buffer = AlignedBuffer::with_capacity(10);
        assert_eq!(buffer.capacity(), BUFFER_ALIGNMENT_BYTES);
        let bytes: Vec<u8> = (0..20_000u32).map(|i| i as u8).collect();
        for piece in bytes.chunks(777) {
            buffer.extend_from_slice(piece);
            assert_eq!(buffer.as_ptr() as usize % BUFFER_ALIGNMENT_BYTES, 0);
        }
        assert_eq!(&buffer[..], &bytes[..]);
        buffer.pad_to_multiple(4096);
        assert_eq!(buffer.len(), 20_480);
        assert!(buffer[20_000..].iter().all(|&b| b == 0));
    }

    #[test]
    fn padding_hides_what_an_earlier_use_left() {
        let mut buffer = AlignedBuffer::with_capacity(4096);
        buffer.extend_from_slice(&[0xff; 4096]);
        buffer.clear();
        buffer.extend_from_slice(b"x");
        buffer.pad_to_multiple(512);
        assert_eq!(buffer.len(), 512);
        assert!(buffer[1..].iter().all(|&b| b == 0));
    }
}
