//! How deep native frames that call back into Lua lie within each other.
//!
//! LuaJIT nests the machine's stack for each of them, without a bound of its own. An error unwinds such frames without telling them, so
//! that nobody could count them down again. They are therefore known by their addresses: the stack grows downwards, and what lies below
//! the frame that asks is gone.

use super::lua::STRING_BYTES_MAX;
use super::memory::Memory;
use std::cell::{Cell, UnsafeCell};

/// Frames that may lie within each other when a coroutine is resumed: what Lua 5.1 allows to C functions, less what it counts at the
/// bottom.
pub(super) const RESUMED_MAX: usize = 199;

/// The same for other callbacks.
pub(super) const CALLED_MAX: usize = 197;

/// Bytes of the stack that lie between the first such frame and the last one. Builds without optimization have larger frames.
pub(super) const NESTED_BYTES_MAX: usize = if cfg!(debug_assertions) { 1536 << 10 } else { 320 << 10 };

/// The stack that a run needs: LuaJIT's parser nests by itself, as deep as 200 levels, and the host is called from the last frame.
pub(super) const STACK_BYTES_MIN: usize = NESTED_BYTES_MAX + (192 << 10);

const _: () = assert!(CALLED_MAX <= RESUMED_MAX, "frames of either kind have a place");

/// One run's frames, and a buffer for each of them.
pub(super) struct Nesting {
    frames: [Cell<usize>; RESUMED_MAX],
    depth: Cell<usize>,
    buffers: Box<[UnsafeCell<Vec<u8>>]>,
    /// Has an error left a large buffer behind?
    is_any_large: Cell<bool>,
}

/// Buffers up to this capacity are kept for the next call.
const BUFFER_KEPT_BYTES_MAX: usize = 64 << 10;

impl Nesting {
    pub(super) fn new() -> Self {
        let buffers = (0..=RESUMED_MAX).map(|_| UnsafeCell::default()).collect();
        Nesting {
            frames: [const { Cell::new(0) }; RESUMED_MAX],
            depth: Cell::new(0),
            buffers,
            is_any_large: Cell::new(false),
        }
    }

    /// A run begins, maybe on another stack, or has ended: of its frames none is alive.
    pub(super) fn clear(&self, memory: &Memory) {
        self.depth.set(0);
        self.release_from(0, memory);
    }

    /// Lets go of large buffers that errors have left behind.
    pub(super) fn release_unused(&self, memory: &Memory) {
        self.release_from(self.depth_at(here()), memory);
    }

    fn release_from(&self, depth: usize, memory: &Memory) {
        if !self.is_any_large.get() {
            return;
        }
        for buffer in &self.buffers[depth..] {
            // SAFETY: the frames that use buffers are above.
            self.release(unsafe { &mut *buffer.get() }, memory);
        }
        self.is_any_large.set(depth > 0);
    }

    /// Makes space for more bytes in a buffer. It counts against the VM's memory, as a buffer of LuaJIT's own would. False: that does
    /// not allow it.
    #[inline(always)]
    pub(super) fn reserve(&self, buffer: &mut Vec<u8>, more: usize, memory: &Memory) -> bool {
        buffer.capacity() - buffer.len() >= more || self.grow(buffer, more, memory)
    }

    #[cold]
    fn grow(&self, buffer: &mut Vec<u8>, more: usize, memory: &Memory) -> bool {
        let before = buffer.capacity();
        let needed = buffer.len().saturating_add(more);
        if needed > STRING_BYTES_MAX || memory.exceeds(needed - before) {
            return false;
        }
        let doubled = needed.max(2 * before);
        let wanted = if memory.exceeds(doubled - before) { needed } else { doubled };
        buffer.reserve_exact(wanted - buffer.len());
        memory.charge((buffer.capacity() - before) as isize);
        if buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
            self.is_any_large.set(true);
        }
        true
    }

    /// Lets go of a buffer that has become large.
    #[inline(always)]
    pub(super) fn release(&self, buffer: &mut Vec<u8>, memory: &Memory) {
        if buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
            memory.charge(-(buffer.capacity() as isize));
            *buffer = Vec::new();
        }
    }

    /// A frame is about to call into Lua. False: it must not, there are `frames_max` already.
    #[inline(always)]
    pub(super) fn enter(&self, frames_max: usize) -> bool {
        let here = here();
        let depth = self.depth_at(here);
        if depth >= frames_max || depth > 0 && self.frames[0].get() - here > NESTED_BYTES_MAX {
            return false;
        }
        self.frames[depth].set(here);
        self.depth.set(depth + 1);
        true
    }

    /// The buffer of the frame that asks: empty, but with what it once allocated. A frame asks before it enters, and once.
    ///
    /// It stays here, and is reached by a pointer: a frame that an error unwinds leaves nothing behind that it owned.
    #[inline(always)]
    pub(super) fn buffer(&self) -> *mut Vec<u8> {
        let buffer = self.buffers[self.depth_at(here())].get();
        // SAFETY: of the frames that use it, this one is the only one alive.
        unsafe { (*buffer).clear() };
        buffer
    }

    #[inline(always)]
    fn depth_at(&self, here: usize) -> usize {
        let mut depth = self.depth.get();
        while depth > 0 && self.frames[depth - 1].get() <= here {
            depth -= 1;
        }
        self.depth.set(depth);
        depth
    }
}

/// An address in the frame of the caller, or just below it.
#[inline(always)]
fn here() -> usize {
    let mark = 0_u8;
    std::hint::black_box(&raw const mark).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn nest(nesting: &Nesting, levels: usize) -> usize {
        if levels == 0 || !nesting.enter(CALLED_MAX) {
            return 0;
        }
        std::hint::black_box(1 + nest(nesting, levels - 1))
    }

    #[test]
    fn frames_that_are_gone_do_not_count() {
        let nesting = Nesting::new();
        for _ in 0..3 {
            assert_eq!(nest(&nesting, 100), 100);
            assert_eq!(nest(&nesting, 1000), CALLED_MAX);
        }
    }

    #[test]
    fn frames_within_each_other_have_different_buffers() {
        let nesting = Nesting::new();
        let outer = nesting.buffer();
        assert_eq!(outer, nesting.buffer(), "the frame before is gone");
        assert!(nesting.enter(CALLED_MAX));
        #[inline(never)]
        fn inner(nesting: &Nesting) -> *mut Vec<u8> {
            nesting.buffer()
        }
        assert_ne!(outer, std::hint::black_box(inner(&nesting)));
    }
}
