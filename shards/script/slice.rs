//! What happens to a run at the end of its slice, and how a run is taken down.

use super::loading::count_load;
use super::lua::*;
use super::lua_reply::push_error;
use super::room::{AtSliceEnd, Ending, Room, room};
use super::shell::Then;
use super::work::Work;
use std::os::raw::{c_char, c_int};

/// How far up a function of a script is looked for.
const LEVELS_MAX: c_int = 16;

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
        if room.ending.get() == Ending::Open && room.memory.take_over() && !has_space(l, room) {
            let _lifted = room.memory.lift();
            room.has_raised_in_hook.set(true);
            note_place(l, room);
            push_bytes(l, b"not enough memory");
            return true;
        }
        if room.ending.get() == Ending::Open {
            if room.at_slice_end.get() == AtSliceEnd::Load {
                count_load(l);
            }
            return false;
        }
        note_place(l, room);
        lua_sethook(l, Some(stopped), LUA_MASKCOUNT, 1);
        push_stopped(l);
        true
    }
}

/// The limit was passed: collects all garbage, in steps. Whether that made space, or the run was stopped meanwhile.
unsafe fn has_space(l: *mut lua_State, room: &Room) -> bool {
    let mut work = Work::new(room);
    // The collection that is under way leaves what became garbage after its begin: it takes one more.
    for _ in 0..2 {
        loop {
            let is_over = {
                let _lifted = room.memory.lift();
                room.memory.wake();
                // SAFETY: a step of the collector runs no Lua code; a hook may call it.
                unsafe { lua_gc(l, LUA_GCSTEP, 0) != 0 }
            };
            if work.spend(STEPS_PER_COLLECTION).is_err() {
                return true;
            }
            if is_over {
                break;
            }
        }
    }
    !room.memory.exceeds(0)
}

/// What a step of the collector costs.
const STEPS_PER_COLLECTION: usize = 2048;

/// Notes where the script was when it was stopped: once its thread has failed, the function on top has no line any more.
unsafe fn note_place(l: *mut lua_State, room: &Room) {
    for level in 0..LEVELS_MAX {
        // SAFETY: a `lua_Debug` of zeros is one; Lua fills it in. Its texts live as long as the functions on the stack.
        unsafe {
            let mut debug: lua_Debug = std::mem::zeroed();
            if lua_getstack(l, level, &mut debug) == 0 || lua_getinfo(l, c"Sl".as_ptr(), &mut debug) == 0 {
                return;
            }
            if debug.currentline > 0 && *debug.source == b'@' as c_char {
                return room.stopped_line.set(debug.currentline);
            }
        }
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
        note_place(l, room);
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
