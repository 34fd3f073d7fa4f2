//! How these libraries take arguments and raise.
//!
//! Most functions here call back into Lua, or make values as large as the script asks for. They therefore own nothing: an error, be it of
//! a callback or of the memory limit, passes through them unharmed, and the limit stays in force. What they need to own lives in the
//! room ([`super::super::nesting`], [`super::Patterns`]). See [`super::super::lua`] for the other way.

use crate::script::lua::*;
use crate::script::room::Room;
use crate::script::shell::Then;
use std::ffi::CStr;
use std::os::raw::c_int;

/// A string, or a number's text, which takes its place on the stack.
#[inline(always)]
pub(super) unsafe fn check_string<'a>(l: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the string stays on the stack as long as its function runs.
    unsafe {
        let start = luaL_checklstring(l, index, &mut len);
        std::slice::from_raw_parts(start.cast(), len)
    }
}

/// A number as Lua 5.1 makes an integer of it on the machines that Redis runs on: what does not fit, or is no number, is the smallest.
#[inline(always)]
pub(super) fn integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// An argument that is an integer.
#[inline(always)]
pub(super) unsafe fn check_integer(l: *mut lua_State, index: c_int) -> i64 {
    // SAFETY: nothing is owned when it raises.
    integer(unsafe { luaL_checknumber(l, index) })
}

/// An argument that may be absent or nil.
#[inline(always)]
pub(super) unsafe fn optional_integer(l: *mut lua_State, index: c_int, otherwise: i64) -> i64 {
    // SAFETY: as above.
    unsafe { if lua_type(l, index) <= LUA_TNIL { otherwise } else { check_integer(l, index) } }
}

/// Raises a text, with the place of the Lua code that called.
#[cold]
pub(super) unsafe fn fail(l: *mut lua_State, text: &str) -> Then {
    // SAFETY: as above; there are free slots.
    unsafe {
        luaL_where(l, 1);
        push_bytes(l, text.as_bytes());
        lua_concat(l, 2);
    }
    Then::Raise
}

/// Raises a text as it is.
#[cold]
pub(super) unsafe fn fail_bare(l: *mut lua_State, text: &str) -> Then {
    // SAFETY: as above.
    unsafe { push_bytes(l, text.as_bytes()) };
    Then::Raise
}

/// Raises what LuaJIT would say of a wrong argument.
#[cold]
pub(super) unsafe fn bad_argument(l: *mut lua_State, index: c_int, text: &CStr) -> Then {
    // SAFETY: as above.
    unsafe { luaL_argerror(l, index, text.as_ptr()) };
    unreachable!("it raises")
}

/// Raises what is said when no memory is left.
#[cold]
pub(super) unsafe fn no_memory(l: *mut lua_State, room: &Room) -> Then {
    // SAFETY: as above.
    unsafe {
        let _lifted = room.memory.lift();
        push_bytes(l, b"not enough memory");
    }
    Then::Raise
}

/// The same for a function with a buffer: what it has made so far goes.
#[cold]
pub(super) unsafe fn no_memory_for(l: *mut lua_State, room: &Room, buffer: &mut Vec<u8>) -> Then {
    room.nesting.release(buffer, &room.memory);
    // SAFETY: as above.
    unsafe { no_memory(l, room) }
}

/// The limit of the VM's memory would be passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoMemory;

/// Makes space for more bytes in a buffer.
#[inline(always)]
pub(super) fn reserve(room: &Room, buffer: &mut Vec<u8>, more: usize) -> Result<(), NoMemory> {
    if room.nesting.reserve(buffer, more, &room.memory) { Ok(()) } else { Err(NoMemory) }
}

/// Appends bytes.
#[inline(always)]
pub(super) fn append(room: &Room, buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), NoMemory> {
    reserve(room, buffer, bytes.len())?;
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// Pushes what a buffer holds, and lets go of one that has become large.
#[inline(always)]
pub(super) unsafe fn push_buffer(l: *mut lua_State, room: &Room, buffer: &mut Vec<u8>) -> Then {
    if room.memory.exceeds(buffer.len()) {
        // SAFETY: as above.
        return unsafe { no_memory_for(l, room, buffer) };
    }
    // SAFETY: should it raise at the memory limit after all, the room still owns the buffer.
    unsafe { push_bytes(l, buffer) };
    room.nesting.release(buffer, &room.memory);
    Then::Return(1)
}
