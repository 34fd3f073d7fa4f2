//! The shells of the functions that Lua calls, and the ways out of them. See [`super::lua`] for why they are shells.

use super::lua::*;
use super::lua_reply::push_error;
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

pub(super) use super::slice::stop;
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

/// The error of an argument: who was called comes from the code that called, a method's object is no argument.
pub(super) unsafe fn bad_argument(l: *mut lua_State, number: c_int, text: &[u8]) -> Then {
    // SAFETY: as in `raise`; a `lua_Debug` of zeros is one, and Lua fills in two texts that live as long as their functions.
    unsafe {
        let mut debug: lua_Debug = std::mem::zeroed();
        let known = lua_getstack(l, 0, &mut debug) != 0 && lua_getinfo(l, c"n".as_ptr(), &mut debug) != 0;
        let name = if known && !debug.name.is_null() { CStr::from_ptr(debug.name).to_bytes() } else { b"?" };
        let is_method = known && !debug.namewhat.is_null() && CStr::from_ptr(debug.namewhat) == c"method";
        let text = match number - c_int::from(is_method) {
            0 if is_method => [b"calling '", name, b"' on bad self (", text, b")"].concat(),
            number => [b"bad argument #", number.to_string().as_bytes(), b" to '", name, b"' (", text, b")"].concat(),
        };
        raise_at(l, 1, &text)
    }
}
