//! The memory of a VM: counted, and bounded while a script runs.

use std::alloc::Layout;
use std::cell::Cell;
use std::os::raw::c_void;

/// Enough for every object of LuaJIT.
const ALIGNMENT_BYTES: usize = 16;

/// What a VM has allocated and may allocate.
pub(super) struct Memory {
    used_bytes: Cell<usize>,
    limit_bytes: usize,
    lifted: Cell<bool>,
}

impl Memory {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Memory { used_bytes: Cell::new(0), limit_bytes, lifted: Cell::new(true) }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Would so much more pass the limit?
    pub(super) fn exceeds(&self, more_bytes: usize) -> bool {
        self.used_bytes.get().saturating_add(more_bytes) > self.limit_bytes
    }

    /// Counts bytes that Rust holds for the VM: negative when they are freed.
    pub(super) fn charge(&self, more_bytes: isize) {
        let used_bytes = self.used_bytes.get().checked_add_signed(more_bytes);
        self.used_bytes.set(used_bytes.expect("what is freed was counted"));
    }

    /// Lifts the limit until the guard is dropped: nothing that Lua allocates meanwhile is refused.
    pub(super) fn lift(&self) -> Lifted<'_> {
        Lifted { memory: self, before: self.lifted.replace(true) }
    }

    /// Puts the limit in force, or lifts it, for good.
    pub(super) fn set_lifted(&self, lifted: bool) {
        self.lifted.set(lifted);
    }
}

/// While it lives, the limit is lifted. See [`Memory::lift`].
pub(super) struct Lifted<'a> {
    memory: &'a Memory,
    before: bool,
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        self.memory.lifted.set(self.before);
    }
}

/// LuaJIT's allocator: the process's own, with a count.
///
/// # Safety
/// `user` points to a [`Memory`] that outlives the VM; the rest is Lua's contract (`old_bytes` is the size of the block at `block`).
pub(super) unsafe extern "C" fn allocate(
    user: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    // SAFETY: see above. Only shared references to it exist anywhere.
    let memory = unsafe { &*user.cast::<Memory>() };
    let old_bytes = if block.is_null() { 0 } else { old_bytes };
    let used_bytes = memory.used_bytes.get();
    if new_bytes == 0 {
        if old_bytes > 0 {
            memory.used_bytes.set(used_bytes - old_bytes);
            // SAFETY: the block was made below with this size and alignment.
            unsafe { std::alloc::dealloc(block.cast(), layout(old_bytes)) };
        }
        return std::ptr::null_mut();
    }
    let used_then = used_bytes - old_bytes + new_bytes;
    if new_bytes > old_bytes && used_then > memory.limit_bytes && !memory.lifted.get() {
        return std::ptr::null_mut();
    }
    // SAFETY: sizes are not zero; the old block was made here.
    let made = unsafe {
        if old_bytes == 0 {
            std::alloc::alloc(layout(new_bytes))
        } else {
            std::alloc::realloc(block.cast(), layout(old_bytes), new_bytes)
        }
    };
    if !made.is_null() {
        memory.used_bytes.set(used_then);
    }
    made.cast()
}

fn layout(bytes: usize) -> Layout {
    // Lua asks for less than half of the address space; more is a broken VM.
    Layout::from_size_align(bytes, ALIGNMENT_BYTES).expect("a size that Lua can ask for")
}
