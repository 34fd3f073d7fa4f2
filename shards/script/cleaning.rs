//! A VM's garbage: when it is worth a collection, and the collection in slices.

use super::lua::*;
use super::vm::Vm;

/// Garbage that is worth a collection although nothing wants its room, in bytes.
const BLOAT_BYTES_MIN: usize = 768 << 10;

/// How far the cleaning of a VM has come.
#[derive(Default)]
pub(super) struct Cleaning {
    /// What was in use after the last full collection: another one is of use only when much more is.
    floor_bytes: usize,
    /// Collections that have ended since cleaning began.
    cycles: u8,
    /// What was in use after the last of them.
    cycle_bytes: usize,
}

impl Vm {
    /// Collects all garbage.
    pub(super) fn collect(&mut self) {
        {
            let _lifted = self.room().memory.lift();
            self.room().memory.wake();
            // SAFETY: the limit is lifted.
            unsafe { lua_gc(self.state(), LUA_GCCOLLECT, 0) };
        }
        self.measure_floor();
    }

    /// What it holds now is what it is left with after a full collection.
    pub(super) fn measure_floor(&mut self) {
        self.cleaning.floor_bytes = self.room().memory.used_bytes();
    }

    /// Whether so much of its memory is garbage, perhaps, that a script could fail for it: it is to be cleaned before it runs another.
    pub(super) fn wants_cleaning(&self) -> bool {
        let memory = &self.room().memory;
        let used_bytes = memory.used_bytes();
        used_bytes > memory.limit_bytes() / 2 && used_bytes > self.cleaning.floor_bytes + self.cleaning.floor_bytes / 2
    }

    /// What it was left with when it was cleaned last is no measure any more: what it had compiled goes.
    pub(super) fn forget_floor(&mut self) {
        self.cleaning.floor_bytes = 0;
    }

    /// Whether it holds much more than what it was left with when it was cleaned last.
    pub(super) fn is_bloated(&self) -> bool {
        self.room().memory.used_bytes() > self.cleaning.floor_bytes + self.cleaning.floor_bytes / 2 + BLOAT_BYTES_MIN
    }

    /// Collects a slice of its garbage; whether there is more to do.
    pub(super) fn clean_some(&mut self, steps: usize) -> bool {
        let is_done = {
            let _lifted = self.room().memory.lift();
            self.room().memory.wake();
            // SAFETY: the limit is lifted.
            (0..steps).any(|_| unsafe { lua_gc(self.state(), LUA_GCSTEP, 0) } != 0)
        };
        // The cycle that was under way leaves what became garbage after its begin: it takes one more.
        if !is_done {
            return true;
        }
        self.cleaning.cycles = self.cleaning.cycles.saturating_add(1);
        // A collection also halves LuaJIT's own buffer, until it fits what is written there.
        let used_bytes = self.room().memory.used_bytes();
        let before = std::mem::replace(&mut self.cleaning.cycle_bytes, used_bytes);
        if self.cleaning.cycles < 2 || used_bytes + BLOAT_BYTES_MIN < before {
            return true;
        }
        self.cleaning.cycles = 0;
        self.cleaning.floor_bytes = used_bytes;
        false
    }
}
