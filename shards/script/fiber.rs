//! The native stack that a VM runs its scripts on.
//!
//! A run can be set aside anywhere: in a hook, below a comparator that `table.sort` called, in the midst of a pattern. Lua's own `yield`
//! cannot do that, since it cannot cross a native frame; here the whole native stack is switched away from, and back to later.
//! What lies on it meanwhile is the VM's alone, because a VM runs one script at a time.

use super::lua::{lua_State, lua_gettop, lua_resume_};
use super::nesting::STACK_BYTES_MIN;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::os::raw::c_int;

/// Bytes of a stack. Only what was used of it takes memory. What nests natively is bounded: the parser, callbacks from native code,
/// coroutines.
const STACK_BYTES: usize = STACK_BYTES_MIN;

/// What is to be done on the stack.
enum Order {
    /// Run the coroutine that is prepared on this thread.
    Run(*mut lua_State),
    /// Go on where the run was set aside.
    GoOn,
    /// End for good: no run is under way.
    Quit,
}

/// Why the stack was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// The run is set aside.
    Aside,
    /// The run ended with this status of Lua's.
    Ended(c_int),
}

/// Where a run, on its stack, leaves it. It is there while the run goes on.
#[repr(transparent)]
pub(super) struct Exit(Yielder<Order, Left>);

impl Exit {
    /// Sets the run aside; comes back when it is to go on.
    pub(super) fn leave(&self) {
        match self.0.suspend(Left::Aside) {
            Order::GoOn => {}
            Order::Run(_) | Order::Quit => panic!("a run that was set aside goes on"),
        }
    }
}

/// One native stack.
pub(super) struct Fiber {
    lane: Coroutine<Order, Left, ()>,
}

impl Fiber {
    /// A stack; `at_exit` is told where its way out is before anything runs on it, and what it is told is valid as long as the
    /// fiber lives. The error says why there is none.
    pub(super) fn new(at_exit: impl FnOnce(*const Exit) + 'static) -> Result<Self, String> {
        let stack = DefaultStack::new(STACK_BYTES).map_err(|error| format!("no stack for scripts: {error}"))?;
        let lane = Coroutine::with_stack(stack, move |yielder: &Yielder<Order, Left>, first| {
            at_exit(std::ptr::from_ref(yielder).cast());
            let mut order = first;
            loop {
                order = match order {
                    Order::Run(thread) => {
                        // SAFETY: the VM has prepared the thread, with a function and its arguments; see `super::vm`.
                        let status = unsafe { lua_resume_(thread, lua_gettop(thread) - 1) };
                        yielder.suspend(Left::Ended(status))
                    }
                    Order::Quit => return,
                    Order::GoOn => panic!("nothing was set aside"),
                };
            }
        });
        Ok(Fiber { lane })
    }

    /// Runs the coroutine that is prepared on a thread, until it ends or is set aside.
    pub(super) fn run(&mut self, thread: *mut lua_State) -> Left {
        self.switch(Order::Run(thread))
    }

    /// Lets the run that was set aside go on.
    pub(super) fn go_on(&mut self) -> Left {
        self.switch(Order::GoOn)
    }

    fn switch(&mut self, order: Order) -> Left {
        match self.lane.resume(order) {
            CoroutineResult::Yield(left) => left,
            CoroutineResult::Return(()) => panic!("a fiber ends when it is dropped"),
        }
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        // It must come to its end by itself: unwinding it from outside would go through Lua's frames.
        if !self.lane.done() {
            let _ = self.lane.resume(Order::Quit);
        }
    }
}
