//! What somebody outside of a run needs to take it down or to slice it: which run it is, and where the hook goes.

use super::lua::lua_State;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The run under way in one engine, seen from a timer's handler.
///
/// Nothing uses the state yet: slices and SCRIPT KILL will arm a hook in it. The rule for them: `lua_sethook` may be called at any moment by
/// the engine's own thread, also from a signal handler, and only while [`Interrupt::run`] is not zero; the engine outlives its handles.
#[derive(Clone)]
pub struct Interrupt {
    run: Arc<AtomicU64>,
    state: *mut lua_State,
}

impl Interrupt {
    pub(super) fn new(state: *mut lua_State) -> Self {
        Interrupt { run: Arc::default(), state }
    }

    /// The number of the run under way, from 1; zero between runs. A handler that finds the same number twice has seen one script
    /// for a whole period.
    pub fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// The VM's state, for `lua_sethook`.
    pub fn state(&self) -> *mut mlua::lua_State {
        self.state
    }

    pub(super) fn set_run(&self, run: u64) {
        self.run.store(run, Ordering::Relaxed);
    }
}
