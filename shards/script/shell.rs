//! The shells of the functions that Lua calls, and the ways out of them. See [`super::lua`] for why they are shells.

use super::lua::*;
use super::lua_reply::push_error;
use super::room::{Ending, Room, room};
use std::ffi::CStr;
use std::os::raw::c_int;

/// What a shell does once its inner function has dropped what it owned.
pub(super) enum Then {
    /// Returns the topmost values.
    Return(c_int),
    /// Raises the topmost value.
    Raise,
    /// Yields all values. This too can raise (below a comparator of `table.sort`, say).
    Yield,
}

/// Defines shells: `name => inner`.
macro_rules! functions {
    ($($name:ident => $inner:expr;)*) => {$(
        pub(super) unsafe extern "C-unwind" fn $name(l: *mut lua_State) -> std::os::raw::c_int {
            // SAFETY: Lua calls this with its own thread; nothing is owned here when `lua_error` unwinds.
            unsafe {
                match $inner(l) {
                    Then::Return(count) => count,
                    Then::Raise => lua_error(l),
                    Then::Yield => lua_yield(l, lua_gettop(l)),
                }
            }
        }
    )*};
}

pub(super) use functions;

/// Pushes an error table for [`Then::Raise`].
pub(super) unsafe fn raise(l: *mut lua_State, text: &[u8]) -> Then {
    // SAFETY: the callers have lifted the limit and have free slots.
    unsafe { push_error(l, text) };
    Then::Raise
}

/// Pushes an error text that starts with the place of the Lua code at `level`.
pub(super) unsafe fn raise_at(l: *mut lua_State, level: c_int, text: &[u8]) -> Then {
    // SAFETY: as in `raise`.
    unsafe {
        luaL_where(l, level);
        push_bytes(l, text);
        lua_concat(l, 2);
    }
    Then::Raise
}

/// The error of an argument that is no number, as Lua words it.
pub(super) unsafe fn not_a_number(l: *mut lua_State, index: c_int, function: &str) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let kind = match lua_type(l, index) {
            LUA_TNONE => "no value",
            kind => CStr::from_ptr(lua_typename(l, kind)).to_str().expect("names of types are ASCII"),
        };
        let text = format!("bad argument #{index} to '{function}' (number expected, got {kind})");
        raise_at(l, 1, text.as_bytes())
    }
}

/// Ends the run, whatever protects it: from here on every instruction raises, until the last `pcall` is gone.
pub(super) unsafe fn stop(l: *mut lua_State, room: &Room) -> Then {
    room.ending.set(Ending::Stopped);
    // SAFETY: a thread of a live VM.
    unsafe {
        lua_sethook(l, Some(stopped), LUA_MASKCOUNT, 1);
        lua_settop(l, 0);
        push_bytes(l, b"the script was stopped");
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
    // SAFETY: a hook has the free slots of a function.
    unsafe {
        let _lifted = room(l).memory.lift();
        push_bytes(l, b"the script was stopped");
    }
}
