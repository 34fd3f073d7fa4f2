//! The provided buffers of a ring: memory that the kernel picks from when bytes arrive.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The group number under which the pool is registered; a ring has one pool.
pub(super) const BUFFER_GROUP: u16 = 0;

/// Buffers lie this much further apart than they are long, so that their first lines do not compete for one cache set.
const STAGGER_BYTES: usize = 128;

const PAGE_BYTES: usize = 4096;

/// A pool of equal buffers and the queue in which they are offered to the kernel.
///
/// A buffer is at any moment either the kernel's (it is in the queue, or its completion has not been reaped) or lent to
/// one [`ProvidedBuffer`]. The pool lives until the last of them is gone.
pub(super) struct BufferPool {
    memory: NonNull<u8>,
    memory_layout: Layout,
    queue: NonNull<BufRingEntry>,
    queue_layout: Layout,
    count: u16,
    buffer_bytes: u32,
    tail: Cell<u16>,
    lent: Cell<u16>,
}

impl BufferPool {
    /// `count` buffers (a power of two, at most 32,768) of `buffer_bytes` each, registered with `ring`.
    pub(super) fn register(ring: &IoUring, count: u16, buffer_bytes: u32) -> io::Result<Rc<Self>> {
        assert!(
            count.is_power_of_two() && count <= 1 << 15,
            "the kernel takes powers of two up to 32,768"
        );
        let stride = buffer_bytes as usize + STAGGER_BYTES;
        let memory_layout =
            Layout::from_size_align(stride * usize::from(count), PAGE_BYTES).expect("a sane size");
        let queue_layout =
            Layout::from_size_align(size_of::<BufRingEntry>() * usize::from(count), PAGE_BYTES)
                .expect("a sane size");
        // SAFETY: neither size is zero: there is at least one buffer, with its stagger.
        let (memory, queue) = unsafe { (alloc_zeroed(memory_layout), alloc_zeroed(queue_layout)) };
        let (Some(memory), Some(queue)) = (NonNull::new(memory), NonNull::new(queue.cast())) else {
            handle_alloc_error(memory_layout)
        };
        let pool = Self {
            memory,
            memory_layout,
            queue,
            queue_layout,
            count,
            buffer_bytes,
            tail: Cell::new(0),
            lent: Cell::new(count),
        };
        // SAFETY: the queue is page-aligned, has `count` entries, and is freed only with the pool, which the ring outlives
        // or which the ring drains before it lets go.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                pool.queue.as_ptr() as u64,
                count,
                BUFFER_GROUP,
                0,
            )?;
        }
        for id in 0..count {
            pool.give_back(id);
        }
        Ok(Rc::new(pool))
    }

    fn start_of(&self, id: u16) -> *mut u8 {
        assert!(id < self.count, "the kernel names a buffer of this pool");
        let stride = self.buffer_bytes as usize + STAGGER_BYTES;
        // SAFETY: the buffer lies within the allocation, whose size is `count` strides.
        unsafe { self.memory.as_ptr().add(usize::from(id) * stride) }
    }

    /// Whether the kernel has none left that are not on their way back.
    pub(super) fn is_exhausted(&self) -> bool {
        self.lent.get() == self.count
    }

    /// Takes a buffer that a completion names.
    ///
    /// # Safety
    /// `id` and `length` come from one completion of this pool's ring, and are taken once: the buffer is then ours.
    pub(super) unsafe fn take(self: &Rc<Self>, id: u16, length: u32) -> ProvidedBuffer {
        assert!(
            id < self.count && length <= self.buffer_bytes,
            "the kernel filled a buffer of this pool"
        );
        self.lent.set(self.lent.get() + 1);
        ProvidedBuffer {
            pool: Rc::clone(self),
            id,
            length,
        }
    }

    fn give_back(&self, id: u16) {
        let tail = self.tail.get();
        // SAFETY: masked by the count, the entry is one of the queue's; the kernel reads entries below the tail only, and
        // there are never more buffers than entries, so that this one is not in its hands. Only the address, length and id
        // are written: the queue's tail lives in the unused field of the first entry.
        unsafe {
            let entry = &mut *self
                .queue
                .as_ptr()
                .add(usize::from(tail & (self.count - 1)));
            entry.set_addr(self.start_of(id) as u64);
            entry.set_len(self.buffer_bytes);
            entry.set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        self.lent.set(self.lent.get() - 1);
        // SAFETY: the address is that of the queue's tail, aligned for 16 bits, written by us alone and read by the kernel;
        // the release makes the entry visible before the tail.
        unsafe {
            let tail_pointer = BufRingEntry::tail(self.queue.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail_pointer).store(self.tail.get(), Ordering::Release);
        }
    }
}

impl Drop for BufferPool {
    fn drop(&mut self) {
        // SAFETY: both were allocated in `register` with these layouts. The ring let go of its reference only after its last
        // operation completed (otherwise it leaked it), so that the kernel writes here no more.
        unsafe {
            dealloc(self.memory.as_ptr(), self.memory_layout);
            dealloc(self.queue.as_ptr().cast(), self.queue_layout);
        }
    }
}

/// Received bytes, in a buffer that goes back to the kernel when this is dropped. Hold it as shortly as possible: when all
/// are held, nothing is received.
pub struct ProvidedBuffer {
    pool: Rc<BufferPool>,
    id: u16,
    length: u32,
}

impl Deref for ProvidedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the buffer is lent to this value alone until it is given back; the kernel has written `length` bytes, and
        // the rest is never looked at.
        unsafe { std::slice::from_raw_parts(self.pool.start_of(self.id), self.length as usize) }
    }
}

impl Drop for ProvidedBuffer {
    fn drop(&mut self) {
        self.pool.give_back(self.id);
    }
}

impl std::fmt::Debug for ProvidedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvidedBuffer({} bytes)", self.length)
    }
}
