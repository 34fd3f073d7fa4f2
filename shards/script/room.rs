//! What a VM's Rust frames share: the memory's count, the host of the run under way, how that run is ending.

use super::host::ScriptHost;
use super::libraries::Patterns;
use super::lua::{lua_State, lua_getallocf};
use super::memory::Memory;
use super::nesting::Nesting;
use super::random::Random;
use crate::reply::Protocol;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// How the run under way is going on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// To its own end.
    Open,
    /// It is being taken down: no instruction of it succeeds any more.
    Stopped,
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
}

impl Room {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Room {
            memory: Memory::new(limit_bytes),
            host: Cell::new(None),
            panic: Cell::new(None),
            protocol: Cell::new(Protocol::Resp2),
            ending: Cell::new(Ending::Open),
            script_thread: Cell::new(std::ptr::null_mut()),
            random: Cell::new(Random::default()),
            nesting: Nesting::new(),
            patterns: UnsafeCell::new(Patterns::new()),
            #[cfg(test)]
            looks_left: Cell::new(None),
        }
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
    pub(super) fn give_way(&self) {
        #[cfg(test)]
        if let Some(looks) = self.looks_left.get() {
            self.looks_left.set(Some(looks.saturating_sub(1)));
            if looks == 0 {
                self.ending.set(Ending::Stopped);
            }
        }
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
