//! Why a function of a library ends without a result, and how it then leaves.

use super::super::lua::*;
use super::super::room::{Ending, Room, room};
use super::super::shell::{Then, bad_argument, raise_at, stop};
use super::super::work::Stopped;
use std::os::raw::c_int;

/// What keeps a function from its result. It travels up through everything that owns something, and is raised in [`enter`] only.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The run is to end.
    Stopped,
    /// It would pass the VM's memory limit.
    Memory,
    /// An error text, which gets the place of the Lua code that called.
    Text(Vec<u8>),
    /// An error text without a place: those that Lua itself raises below a function that is not Lua.
    Bare(&'static str),
    /// An argument, by its number, and what is wrong with it.
    Argument(c_int, Vec<u8>),
}

impl Trouble {
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Trouble::Text(text.into())
    }

    pub(super) fn argument(number: c_int, text: impl Into<Vec<u8>>) -> Self {
        Trouble::Argument(number, text.into())
    }
}

impl From<Stopped> for Trouble {
    fn from(_: Stopped) -> Self {
        Trouble::Stopped
    }
}

/// What does a library function's work: the count of results on top, or the reason for none.
pub(super) type Inner = unsafe fn(*mut lua_State, &Room) -> Result<c_int, Trouble>;

/// Calls `inner` with the memory limit lifted. Once it has dropped what it owned, its trouble is put on the stack.
///
/// # Safety
/// `l` is the thread that Lua called a function with.
#[inline(always)]
pub(super) unsafe fn enter(l: *mut lua_State, inner: Inner) -> Then {
    // SAFETY: passed on.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        if room.ending.get() != Ending::Open {
            return stop(l, room);
        }
        match inner(l, room) {
            Ok(count) => Then::Return(count),
            Err(trouble) => leave(l, room, trouble),
        }
    }
}

#[cold]
unsafe fn leave(l: *mut lua_State, room: &Room, trouble: Trouble) -> Then {
    // SAFETY: the limit is lifted; with an empty stack there are slots, however full it was.
    unsafe {
        lua_settop(l, 0);
        match trouble {
            Trouble::Stopped => return stop(l, room),
            Trouble::Memory => push_bytes(l, b"not enough memory"),
            Trouble::Text(text) => return raise_at(l, 1, &text),
            Trouble::Bare(text) => push_bytes(l, text.as_bytes()),
            Trouble::Argument(number, text) => return bad_argument(l, number, &text),
        }
    }
    Then::Raise
}
