//! The end of a slice: how it is noticed, and how it reaches the script that runs.
//!
//! A slice is a stretch of one run, or of one EXEC, in which nobody else is served. Each core has one [`Interrupt`]; its shards' runs
//! number their slices there. A timer of the shell calls [`Interrupt::tick`] four times per slice length, from a signal handler on the core's
//! own thread. A tick that finds the number that the three ticks before it found has seen one slice for nearly its whole length: it raises
//! the flag, which native code looks at, and arms a hook, which stops Lua code at its next instruction, compiled loops too. So a slice
//! lasts between three quarters of its length and all of it, and a short script never pays for a timer of its own.
//!
//! Tests and simulations count instead: every so many instructions of Lua, or steps of native work, a slice is over.

use super::lua::{LUA_MASKCOUNT, LUA_MASKLINE, lua_State, lua_sethook};
use super::slice::turn;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What calls [`Interrupt::tick`] periodically while it is started. Its methods are called from the core's thread; `stop` also from within
/// `tick`, in a signal handler.
pub trait SliceTimer: Send + Sync {
    /// Starts it: the first tick comes after one period.
    fn start(&self);
    /// Stops it.
    fn stop(&self);
}

/// Periods of the timer in the length of a slice. A slice lasts between one less and so many.
pub const TICKS_PER_SLICE: u32 = 4;
/// Ticks without a slice after which the timer is stopped.
const IDLE_TICKS_MAX: u32 = 200;
/// Instructions that a command of EXEC counts for where instructions are counted.
const COMMAND_INSTRUCTIONS: u32 = 10;
/// Steps of native work that count for one instruction.
const STEPS_PER_INSTRUCTION: usize = 16;

#[derive(Default)]
struct Block {
    /// The slice under way; 0 between slices.
    slice: AtomicU64,
    /// The number of the next slice.
    slices: AtomicU64,
    /// The slice that the last tick saw, and how many ticks in a row saw it.
    seen: AtomicU64,
    times_seen: AtomicU32,
    over: AtomicBool,
    /// The VM that runs, if one does.
    state: AtomicPtr<lua_State>,
    is_ticking: AtomicBool,
    idle_ticks: AtomicU32,
    /// Instructions of a slice where they are counted; 0 where ticks end slices.
    counted: AtomicU32,
    counted_left: AtomicI64,
    timer: OnceLock<Box<dyn SliceTimer>>,
}

/// One core's watch over slices. Handles share it.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Block>);

impl Interrupt {
    /// Gives the watch its timer. Before that, and without one, slices have no end.
    ///
    /// # Panics
    /// If it has one.
    pub fn attach(&self, timer: Box<dyn SliceTimer>) {
        assert!(self.0.timer.set(timer).is_ok(), "a core has one timer");
    }

    /// A watch under which slices end after so many instructions (0: never): the same ones in every run of the same thing.
    pub fn counting(instructions: u32) -> Self {
        let interrupt = Interrupt::default();
        interrupt.count(instructions);
        interrupt
    }

    /// Slices end after so many instructions from now on; 0: when ticks say so.
    pub fn count(&self, instructions: u32) {
        self.0.counted.store(instructions, Ordering::Relaxed);
    }

    /// The length of a slice, where instructions are counted.
    #[cfg(test)]
    pub(super) fn counted(&self) -> u32 {
        self.0.counted.load(Ordering::Relaxed)
    }

    /// The timer's period was changed: it is started anew with the next slice.
    pub fn restart_timer(&self) {
        self.0.is_ticking.store(false, Ordering::Relaxed);
    }

    /// Slices begun so far.
    pub fn slices(&self) -> u64 {
        self.0.slices.load(Ordering::Relaxed)
    }

    /// A slice begins. Nothing of the one before is left.
    pub fn begin(&self) {
        let block = &*self.0;
        let number = block.slices.load(Ordering::Relaxed) + 1;
        block.slices.store(number, Ordering::Relaxed);
        block.over.store(false, Ordering::Relaxed);
        block.slice.store(number, Ordering::Relaxed);
        block.counted_left.store(block.counted.load(Ordering::Relaxed).into(), Ordering::Relaxed);
        if let Some(timer) = block.timer.get()
            && !block.is_ticking.swap(true, Ordering::Relaxed)
        {
            block.idle_ticks.store(0, Ordering::Relaxed);
            timer.start();
        }
    }

    /// The slice has ended.
    pub fn end(&self) {
        self.0.slice.store(0, Ordering::Relaxed);
        self.0.over.store(false, Ordering::Relaxed);
    }

    /// Whether the slice is over: whoever can, gives way.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// A command of EXEC has run; whether the slice is over.
    pub fn command_ran(&self) -> bool {
        self.spend(COMMAND_INSTRUCTIONS.into());
        self.is_over()
    }

    /// Native work has been done: so many steps.
    pub(super) fn worked(&self, steps: usize) {
        self.spend((steps / STEPS_PER_INSTRUCTION) as i64);
    }

    fn spend(&self, instructions: i64) {
        if self.0.counted.load(Ordering::Relaxed) == 0 || self.0.slice.load(Ordering::Relaxed) == 0 {
            return;
        }
        let left = self.0.counted_left.load(Ordering::Relaxed) - instructions;
        self.0.counted_left.store(left, Ordering::Relaxed);
        if left <= 0 {
            self.0.over.store(true, Ordering::Relaxed);
        }
    }

    /// A VM begins to run, or goes on.
    pub(super) fn enter(&self, state: *mut lua_State) {
        let counted = self.0.counted.load(Ordering::Relaxed);
        if counted != 0 && self.0.slice.load(Ordering::Relaxed) != 0 {
            // SAFETY: the VM is alive and runs nothing yet.
            unsafe { lua_sethook(state, Some(turn), LUA_MASKCOUNT, counted as i32) };
        }
        self.0.state.store(state, Ordering::Relaxed);
    }

    /// The VM does not run any more; its hook is taken away.
    pub(super) fn leave(&self, state: *mut lua_State) {
        self.0.state.store(std::ptr::null_mut(), Ordering::Relaxed);
        // A tick may have armed it a moment too late; what is left armed would only cost the next run an instruction.
        if self.0.over.load(Ordering::Relaxed) || self.0.counted.load(Ordering::Relaxed) != 0 {
            // SAFETY: the VM is alive and stands still.
            unsafe { lua_sethook(state, None, 0, 0) };
        }
    }

    /// A hook fired. Where instructions are counted, that is the end of a slice.
    pub(super) fn hooked(&self) {
        if self.0.counted.load(Ordering::Relaxed) != 0 {
            self.0.over.store(true, Ordering::Relaxed);
        }
    }

    /// A period has passed. To be called on the core's own thread, also from a signal handler: it takes no lock and allocates nothing.
    pub fn tick(&self) {
        let block = &*self.0;
        let slice = block.slice.load(Ordering::Relaxed);
        let seen = block.seen.swap(slice, Ordering::Relaxed);
        let times_seen = if slice == seen { block.times_seen.load(Ordering::Relaxed).saturating_add(1) } else { 1 };
        block.times_seen.store(times_seen, Ordering::Relaxed);
        if slice == 0 {
            let idle = block.idle_ticks.load(Ordering::Relaxed) + 1;
            block.idle_ticks.store(idle, Ordering::Relaxed);
            if idle >= IDLE_TICKS_MAX
                && let Some(timer) = block.timer.get()
            {
                timer.stop();
                block.is_ticking.store(false, Ordering::Relaxed);
            }
            return;
        }
        block.idle_ticks.store(0, Ordering::Relaxed);
        if times_seen < TICKS_PER_SLICE {
            return;
        }
        block.over.store(true, Ordering::Relaxed);
        let state = block.state.load(Ordering::Relaxed);
        if !state.is_null() {
            // SAFETY: the VM runs, on this thread, below or beside this frame; LuaJIT lets hooks be set at any of its instructions.
            unsafe { lua_sethook(state, Some(turn), LUA_MASKCOUNT | LUA_MASKLINE, 1) };
        }
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interrupt({} slices)", self.slices())
    }
}
