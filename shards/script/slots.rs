//! The constants at the bottom of a VM's main stack: tables and names that every run needs, without a lookup.

use super::lua::*;
use std::ffi::CStr;
use std::os::raw::c_int;

/// The table behind the scripts' globals, where KEYS and ARGV are put.
pub(super) const GLOBALS: c_int = 1;
/// The thread that scripts start in.
pub(super) const THREAD: c_int = 2;
pub(super) const KEYS: c_int = 3;
pub(super) const ARGV: c_int = 4;
pub(super) const ERR: c_int = 5;
pub(super) const OK: c_int = 6;
pub(super) const DOUBLE: c_int = 7;
pub(super) const BIG_NUMBER: c_int = 8;
pub(super) const VERBATIM_STRING: c_int = 9;
pub(super) const FORMAT: c_int = 10;
pub(super) const STRING: c_int = 11;
pub(super) const MAP: c_int = 12;
pub(super) const SET: c_int = 13;
/// How many there are.
pub(super) const COUNT: c_int = 13;

/// Where the sandbox leaves the table of [`GLOBALS`] in the registry.
pub(super) const CONTENTS_NAME: &CStr = c"ringkeep_globals";

/// Where it leaves what stands in for that table while a library is loaded.
pub(super) const LOADING_NAME: &CStr = c"ringkeep_loading";

/// The names, from [`KEYS`] to [`SET`].
const NAMES: [&CStr; 11] = [
    c"KEYS",
    c"ARGV",
    c"err",
    c"ok",
    c"double",
    c"big_number",
    c"verbatim_string",
    c"format",
    c"string",
    c"map",
    c"set",
];

/// Puts the constants into place on a main thread whose sandbox is built.
///
/// # Safety
/// `l` is the main thread, outside of a call and with the limit lifted.
pub(super) unsafe fn fill(l: *mut lua_State) {
    // SAFETY: see above.
    unsafe {
        lua_settop(l, 0);
        lua_getfield_(l, LUA_REGISTRYINDEX, CONTENTS_NAME.as_ptr());
        lua_pushnil(l);
        for name in NAMES {
            lua_pushstring_(l, name.as_ptr());
        }
        assert_eq!(lua_gettop(l), COUNT, "every constant has its slot");
        assert_ne!(lua_checkstack(l, LUA_MINSTACK), 0, "a new thread has space");
    }
}
