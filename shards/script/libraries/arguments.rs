//! The arguments of library functions, checked and worded as Lua's auxiliary library does.

use super::super::convert::truncated;
use super::super::lua::*;
use super::trouble::Trouble;
use std::ffi::CStr;
use std::os::raw::c_int;

/// A string; a number counts as its text, and is changed into it on the stack.
///
/// # Safety
/// `index` is one of the function's arguments or past them; the limit is lifted; the slice is used while the value stays on the stack.
#[inline]
pub(super) unsafe fn string<'a>(l: *mut lua_State, index: c_int) -> Result<&'a [u8], Trouble> {
    // SAFETY: see above.
    unsafe {
        match lua_type(l, index) {
            LUA_TSTRING | LUA_TNUMBER => Ok(string_at(l, index)),
            _ => Err(expected(l, index, "string")),
        }
    }
}

/// A number, or a string that reads as one.
///
/// # Safety
/// As in [`string`].
#[inline]
pub(super) unsafe fn number(l: *mut lua_State, index: c_int) -> Result<f64, Trouble> {
    // SAFETY: see above.
    unsafe { if lua_isnumber(l, index) != 0 { Ok(lua_tonumber(l, index)) } else { Err(expected(l, index, "number")) } }
}

/// A number's whole part.
///
/// # Safety
/// As in [`string`].
pub(super) unsafe fn integer(l: *mut lua_State, index: c_int) -> Result<i64, Trouble> {
    // SAFETY: see above.
    unsafe { number(l, index).map(truncated) }
}

/// The same, or a default if there is none.
///
/// # Safety
/// As in [`string`].
pub(super) unsafe fn integer_or(l: *mut lua_State, index: c_int, default: i64) -> Result<i64, Trouble> {
    // SAFETY: see above.
    unsafe { if lua_isnoneornil(l, index) != 0 { Ok(default) } else { integer(l, index) } }
}

#[cold]
unsafe fn expected(l: *mut lua_State, index: c_int, wanted: &str) -> Trouble {
    // SAFETY: names of types live as long as the VM.
    let kind = unsafe {
        match lua_type(l, index) {
            LUA_TNONE => "no value".into(),
            kind => CStr::from_ptr(lua_typename(l, kind)).to_string_lossy(),
        }
    };
    Trouble::argument(index, format!("{wanted} expected, got {kind}"))
}
