//! The memory of a VM: counted, and bounded while a script runs.

use super::lua::{LUA_GCRESTART, LUA_GCSTOP, LUA_MASKCOUNT, LUA_MASKLINE, lua_State, lua_gc, lua_sethook};
use super::slice::turn;
use std::alloc::Layout;
use std::cell::Cell;
use std::os::raw::c_void;
use std::rc::Rc;

/// What LuaJIT's own allocator promises its objects (`MALLOC_ALIGNMENT` in lj_alloc.c). More would take the process's allocator off its
/// fast path for blocks whose size is no multiple of it.
const ALIGNMENT_BYTES: usize = 8;

/// What a VM has allocated and may allocate, alone and together with the others of its pool.
pub(super) struct Memory {
    used_bytes: Cell<usize>,
    limit_bytes: usize,
    lifted: Cell<bool>,
    pool: Rc<PoolMemory>,
    /// The VM whose collector rests, if it does: it is started when this much is in use.
    resting: Cell<*mut lua_State>,
    /// The VM, once it is there.
    main: Cell<*mut lua_State>,
    /// The VM is being made: nothing is refused, whatever others of the pool hold.
    is_new: Cell<bool>,
    /// Whether the limit was passed, and a hook is armed that sees to it.
    is_over: Cell<bool>,
}

/// What a VM may use before its collector starts, in bytes. LuaJIT would start it at twice what is left after a collection, which for the
/// fifty kilobytes of an empty sandbox is all the time: a twentieth of a short script's cost.
const REST_BYTES_MAX: usize = 512 << 10;
/// A collector that has left no more than this rests again, in bytes.
const REST_AGAIN_BYTES_MAX: usize = 192 << 10;

/// What the VMs of one pool have allocated and may allocate together.
pub(super) struct PoolMemory {
    used_bytes: Cell<usize>,
    limit_bytes: Cell<usize>,
}

impl PoolMemory {
    pub(super) fn new(limit_bytes: usize) -> Self {
        PoolMemory { used_bytes: Cell::new(0), limit_bytes: Cell::new(limit_bytes) }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit_bytes.set(bytes);
    }
}

impl Memory {
    pub(super) fn new(limit_bytes: usize, pool: Rc<PoolMemory>) -> Self {
        Memory {
            used_bytes: Cell::new(0),
            limit_bytes,
            lifted: Cell::new(true),
            pool,
            resting: Cell::new(std::ptr::null_mut()),
            main: Cell::new(std::ptr::null_mut()),
            is_new: Cell::new(false),
            is_over: Cell::new(false),
        }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Would so much more pass the limit?
    pub(super) fn exceeds(&self, more_bytes: usize) -> bool {
        if self.is_new.get() {
            return false;
        }
        self.used_bytes.get().saturating_add(more_bytes) > self.limit_bytes
            || self.pool.used_bytes.get().saturating_add(more_bytes) > self.pool.limit_bytes.get()
    }

    /// Would so much more pass twice the limit? That is refused where it is asked for.
    fn exceeds_far(&self, more_bytes: usize) -> bool {
        let passes = |used: usize, limit: usize| used.saturating_add(more_bytes) > limit.saturating_mul(2);
        passes(self.used_bytes.get(), self.limit_bytes)
            || passes(self.pool.used_bytes.get(), self.pool.limit_bytes.get())
    }

    /// The VM is about to be made; [`Memory::belongs_to`] follows.
    pub(super) fn begins(&self) {
        self.is_new.set(true);
    }

    /// The VM whose memory this is has been made.
    pub(super) fn belongs_to(&self, main: *mut lua_State) {
        self.is_new.set(false);
        self.main.set(main);
    }

    /// The limit is passed: the script's next instruction meets a hook that collects garbage, or raises.
    ///
    /// LuaJIT does not bear everywhere that an allocation is refused (in the midst of leaving a compiled loop, of making an error's text),
    /// and it does not collect garbage then. At an instruction it bears both.
    #[cold]
    fn arm(&self) {
        if !self.is_over.replace(true) {
            // SAFETY: the VM is alive, and lets hooks be set at any moment.
            unsafe { lua_sethook(self.main.get(), Some(turn), LUA_MASKCOUNT | LUA_MASKLINE, 1) };
        }
    }

    /// Whether the limit was passed since the last call.
    pub(super) fn take_over(&self) -> bool {
        self.is_over.replace(false)
    }

    /// Lets the collector of this VM rest, if there is little to collect. To be called between runs.
    pub(super) fn rest(&self, main: *mut lua_State) {
        if self.resting.get().is_null() && self.used_bytes.get() <= REST_AGAIN_BYTES_MAX {
            self.resting.set(main);
            // SAFETY: the VM is alive; this sets a threshold.
            unsafe { lua_gc(main, LUA_GCSTOP, 0) };
        }
    }

    /// The collector is at work.
    pub(super) fn wake(&self) {
        self.resting.set(std::ptr::null_mut());
    }

    #[cold]
    fn start_collector(&self) {
        let main = self.resting.replace(std::ptr::null_mut());
        // SAFETY: the VM is alive, and sets a threshold here, nothing else; it does not mind that it is in the midst of an allocation.
        unsafe { lua_gc(main, LUA_GCRESTART, 0) };
    }

    fn set_used(&self, bytes: usize) {
        let others = self.pool.used_bytes.get() - self.used_bytes.get();
        self.pool.used_bytes.set(others + bytes);
        self.used_bytes.set(bytes);
    }

    /// The VM is closed: what is still counted, Rust's buffers, goes with its room.
    pub(super) fn close(&self) {
        self.set_used(0);
    }

    /// Counts bytes that Rust holds for the VM: negative when they are freed.
    pub(super) fn charge(&self, more_bytes: isize) {
        let used_bytes = self.used_bytes.get().checked_add_signed(more_bytes);
        self.set_used(used_bytes.expect("what is freed was counted"));
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
            memory.set_used(used_bytes - old_bytes);
            // SAFETY: the block was made below with this size and alignment.
            unsafe { std::alloc::dealloc(block.cast(), layout(old_bytes)) };
        }
        return std::ptr::null_mut();
    }
    let used_then = used_bytes - old_bytes + new_bytes;
    if new_bytes > old_bytes && !memory.lifted.get() && memory.exceeds(new_bytes - old_bytes) {
        if memory.main.get().is_null() || memory.exceeds_far(new_bytes - old_bytes) {
            return std::ptr::null_mut();
        }
        memory.arm();
    }
    if used_then > REST_BYTES_MAX && !memory.resting.get().is_null() {
        memory.start_collector();
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
        memory.set_used(used_then);
    }
    made.cast()
}

fn layout(bytes: usize) -> Layout {
    // Lua asks for less than half of the address space; more is a broken VM.
    Layout::from_size_align(bytes, ALIGNMENT_BYTES).expect("a size that Lua can ask for")
}
