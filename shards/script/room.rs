//! What a VM's Rust frames share: the memory's count, the host of the run under way, how that run is ending.

use super::fiber::Exit;
use super::host::ScriptHost;
use super::interrupt::Interrupt;
use super::libraries::{JsonOptions, Patterns};
use super::lua::{lua_State, lua_getallocf};
use super::memory::Memory;
use super::nesting::{NESTED_BYTES_MAX, Nesting};
use super::random::Random;
use super::registration::{LOAD_TIMEOUT, Loading};
use crate::reply::Protocol;
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// How the run under way is going on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// To its own end.
    Open,
    /// It is being taken down, and nobody is told of it: no instruction of it succeeds any more.
    Abandoned,
    /// The same, with the error that its client reads.
    Stopped(&'static str),
}

/// One per VM. It is reached from any Lua thread, through the allocator's user pointer, hence the layout: the allocator sees
/// only the first field. All of its fields are cells: while a script runs, several Rust frames look at it, none exclusively.
#[repr(C)]
pub(super) struct Room {
    pub(super) memory: Memory,
    host: Cell<Option<NonNull<dyn ScriptHost>>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// The protocol that `redis.call` answers in.
    pub(super) protocol: Cell<Protocol>,
    pub(super) ending: Cell<Ending>,
    /// The thread that scripts start in: it counts as the main one, which cannot yield.
    pub(super) script_thread: Cell<*mut lua_State>,
    pub(super) random: Cell<Random>,
    pub(super) nesting: Nesting,
    patterns: UnsafeCell<Patterns>,
    #[cfg(test)]
    pub(super) looks_left: Cell<Option<usize>>,
    /// The options of the global `cjson`.
    pub(super) json_options: Cell<JsonOptions>,
    /// Whose slices its runs take part in.
    pub(super) slicer: Interrupt,
    /// A hook has raised an error that is not handled yet: handlers would run where no hook reaches them.
    pub(super) has_raised_in_hook: Cell<bool>,
    /// The line of the script at which it was stopped; 0 if it was not.
    pub(super) stopped_line: Cell<c_int>,
    /// What the end of a slice means to the run under way.
    pub(super) at_slice_end: Cell<AtSliceEnd>,
    /// The way out of the native stack; there is one while a run is on it.
    exit: Cell<*const Exit>,
    /// The address on the native stack below which nothing may nest any deeper.
    stack_floor: Cell<usize>,
    /// The load of a library that is under way.
    pub(super) loading: RefCell<Option<Loading>>,
}

/// What the end of a slice means to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AtSliceEnd {
    /// It is set aside.
    Aside,
    /// It is the load of a library: it goes on until it has had its steps.
    Load,
}

impl Room {
    pub(super) fn new(memory: Memory, slicer: Interrupt) -> Self {
        Room {
            memory,
            host: Cell::new(None),
            panic: Cell::new(None),
            protocol: Cell::new(Protocol::Resp2),
            ending: Cell::new(Ending::Open),
            script_thread: Cell::new(std::ptr::null_mut()),
            random: Cell::new(Random::default()),
            slicer,
            has_raised_in_hook: Cell::new(false),
            stopped_line: Cell::new(0),
            at_slice_end: Cell::new(AtSliceEnd::Aside),
            exit: Cell::new(std::ptr::null()),
            stack_floor: Cell::new(0),
            json_options: Cell::new(JsonOptions::default()),
            loading: RefCell::new(None),
            nesting: Nesting::new(),
            patterns: UnsafeCell::new(Patterns::new()),
            #[cfg(test)]
            looks_left: Cell::new(None),
        }
    }

    /// One that belongs to no VM.
    #[cfg(test)]
    pub(super) fn alone(limit_bytes: usize) -> Self {
        let pool = std::rc::Rc::new(super::memory::PoolMemory::new(usize::MAX));
        Room::new(Memory::new(limit_bytes, pool), Interrupt::default())
    }

    /// Lends the host to the run that follows, until the guard is dropped.
    pub(super) fn lend<'a>(&'a self, host: &'a mut dyn ScriptHost) -> Lent<'a> {
        let host = NonNull::from(host);
        // SAFETY: only the lifetime is erased; the guard, which lives no longer than the borrow, takes the pointer back.
        let host: NonNull<dyn ScriptHost + 'static> = unsafe { std::mem::transmute(host) };
        let before = self.host.replace(Some(host));
        assert!(before.is_none(), "a VM runs one script at a time");
        Lent { room: self }
    }

    /// Calls the host from below Lua frames. `None` if it panicked: the payload waits in the room, the script is to be stopped.
    pub(super) fn ask<R>(&self, question: impl FnOnce(&mut dyn ScriptHost) -> R) -> Option<R> {
        let mut host = self.host.get()?;
        // SAFETY: the pointer is there only while its borrow is lent, the lender does not touch the host meanwhile, and the
        // host has no way to get here again while it is being asked (it knows no VM).
        let host = unsafe { host.as_mut() };
        match catch_unwind(AssertUnwindSafe(|| question(host))) {
            Ok(answer) => Some(answer),
            Err(payload) => {
                self.panic.set(Some(payload));
                None
            }
        }
    }

    /// A place where the run may be suspended, if its slice is over; it may come back stopped.
    #[inline]
    pub(super) fn give_way(&self) {
        #[cfg(test)]
        if let Some(looks) = self.looks_left.get() {
            self.looks_left.set(Some(looks.saturating_sub(1)));
            if looks == 0 {
                self.ending.set(Ending::Abandoned);
            }
        }
        if self.slicer.is_over() && self.ending.get() == Ending::Open {
            self.leave();
        }
    }

    #[cold]
    fn leave(&self) {
        match self.at_slice_end.get() {
            AtSliceEnd::Load => {
                if !self.loading.borrow_mut().as_mut().is_some_and(Loading::goes_on) {
                    self.ending.set(Ending::Stopped(LOAD_TIMEOUT));
                }
            }
            AtSliceEnd::Aside => {
                // SAFETY: the fiber set it before it ran anything, and lives as long as the VM; this runs on its stack.
                let exit = unsafe { self.exit.get().as_ref() };
                exit.expect("a run is on its fiber").leave();
            }
        }
    }

    /// Sets the run aside until what it waits for is there; it may come back stopped.
    pub(super) fn wait(&self) {
        self.leave();
    }

    /// Where the way out of the native stack is kept.
    /// To be called on that stack, before anything runs there.
    pub(super) fn set_exit(&self, exit: *const Exit) {
        self.exit.set(exit);
        let here = 0u8;
        self.stack_floor.set((&raw const here).addr().saturating_sub(NESTED_BYTES_MAX));
    }

    /// Whether so much of the native stack is used that nothing may nest any deeper.
    pub(super) fn is_deep(&self) -> bool {
        let here = 0u8;
        (&raw const here).addr() < self.stack_floor.get()
    }

    /// The compiled patterns: for a function to look into, and to let go of before it calls into Lua.
    ///
    /// # Safety
    /// There is no other reference to them as long as this one is used.
    #[expect(clippy::mut_from_ref, reason = "the caller's promise")]
    pub(super) unsafe fn patterns(&self) -> &mut Patterns {
        // SAFETY: see above.
        unsafe { &mut *self.patterns.get() }
    }

    /// The panic that a host's method ended with, if one did.
    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }
}

/// While it lives, the room has a host. See [`Room::lend`].
pub(super) struct Lent<'a> {
    room: &'a Room,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.room.host.set(None);
    }
}

/// The room of the VM that a thread belongs to.
///
/// # Safety
/// `l` is a live thread of a VM that was made with a [`Room`] as its allocator's user pointer; the reference must not outlive the VM.
#[inline(always)]
pub(super) unsafe fn room<'a>(l: *mut lua_State) -> &'a Room {
    let mut user = std::ptr::null_mut();
    // SAFETY: see above.
    unsafe {
        lua_getallocf(l, &mut user);
        &*user.cast::<Room>()
    }
}
