//! Buffers that connections share.

/// Buffers kept for reuse, at most.
pub const POOLED_BUFFERS_MAX: usize = 256;

/// A buffer that grew beyond this in a burst is freed, not kept.
pub const POOLED_BUFFER_BYTES_MAX: usize = 64 << 10;

const NEW_BUFFER_BYTES: usize = 4 << 10;

/// Empty buffers of a core.
#[derive(Default)]
pub struct BufferPool {
    buffers: Vec<Vec<u8>>,
}

impl BufferPool {
    /// An empty buffer with some capacity.
    pub fn take(&mut self) -> Vec<u8> {
        self.buffers
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(NEW_BUFFER_BYTES))
    }

    /// Takes a buffer back, whatever it holds.
    pub fn put(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if (1..=POOLED_BUFFER_BYTES_MAX).contains(&capacity)
            && self.buffers.len() < POOLED_BUFFERS_MAX
        {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}
