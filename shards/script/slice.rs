//! What happens to a run at the end of its slice, and how a run is taken down.

use super::lua::*;
use super::lua_reply::push_error;
use super::room::{Ending, Room, room};
use super::shell::Then;

/// The hook that is armed at the end of a slice: the run is set aside here, and goes on here.
pub(super) unsafe extern "C-unwind" fn turn(l: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: the inner call owns nothing when `lua_error` unwinds.
    unsafe {
        if turned(l) {
            lua_error(l)
        }
    }
}

/// Whether the run is to be taken down; the error is pushed then.
unsafe fn turned(l: *mut lua_State) -> bool {
    // SAFETY: a hook has the free slots of a function; a hook may set hooks.
    unsafe {
        let room = room(l);
        lua_sethook(l, None, 0, 0);
        room.slicer.hooked();
        room.give_way();
        if room.ending.get() == Ending::Open {
            return false;
        }
        lua_sethook(l, Some(stopped), LUA_MASKCOUNT, 1);
        push_stopped(l);
        true
    }
}

/// Ends the run, whatever protects it: from here on every instruction raises, until the last `pcall` is gone. To be called where the
/// limit is lifted.
pub(super) unsafe fn stop(l: *mut lua_State, room: &Room) -> Then {
    if room.ending.get() == Ending::Open {
        room.ending.set(Ending::Abandoned);
    }
    // SAFETY: a thread of a live VM.
    unsafe {
        lua_sethook(l, Some(stopped), LUA_MASKCOUNT, 1);
        lua_settop(l, 0);
        push_stopped(l);
    }
    Then::Raise
}

/// The hook that takes a stopped script down.
unsafe extern "C-unwind" fn stopped(l: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: the inner call owns the guard and has dropped it when `lua_error` unwinds.
    unsafe {
        push_stopped(l);
        lua_error(l)
    }
}

unsafe fn push_stopped(l: *mut lua_State) {
    // SAFETY: the callers have the free slots of a function.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        match room.ending.get() {
            Ending::Stopped(text) => push_error(l, text.as_bytes()),
            Ending::Open | Ending::Abandoned => push_bytes(l, b"the script was stopped"),
        }
    }
}
