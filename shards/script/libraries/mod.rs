//! The libraries that scripts see beside `redis`: those that Lua does not bring, and ours in place of what a hook cannot stop.
//!
//! LuaJIT's own C functions run to their end whatever a hook says. Whatever can run long, or call back into Lua, is therefore
//! written here, does its work in steps (see [`super::work`]), and bounds how deep it nests.

mod arguments;
mod chunks;
mod cjson;
mod cmsgpack;
mod coroutines;
mod format;
mod growth;
#[cfg(test)]
mod library_tests;
#[cfg(test)]
mod long_work_tests;
#[cfg(test)]
mod oracle_scripts;
#[cfg(test)]
mod oracle_tests;
mod output;
mod pattern;
mod pattern_functions;
mod sort;
#[cfg(test)]
mod string_oracle_tests;
mod strings;
mod structs;
mod tables;
mod trouble;
mod values;

pub(super) use pattern::Patterns;

use super::lua::*;
use super::room::Room;
use std::ffi::CStr;

pub(super) use cjson::JsonOptions;

/// A function and its name.
pub(super) type Function = (&'static CStr, lua_CFunction);

/// What `sandbox.lua` gets as its table of libraries.
pub(super) const LIBRARIES: [(&CStr, &[Function]); 7] = [
    (c"base", &chunks::FUNCTIONS),
    (c"cjson", &cjson::FUNCTIONS),
    (c"cmsgpack", &cmsgpack::FUNCTIONS),
    (c"coroutine", &coroutines::FUNCTIONS),
    (c"string", &strings::FUNCTIONS),
    (c"struct", &structs::FUNCTIONS),
    (c"table", &tables::FUNCTIONS),
];

/// What else a library has to show.
#[derive(Clone, Copy)]
pub(super) enum Constant {
    Text(&'static CStr),
    /// The pointer to nothing, which is no nil: a place in a table can hold it.
    NullPointer,
}

impl Constant {
    /// # Safety
    /// `l` has a free slot, and the limit is lifted or the call protected.
    pub(super) unsafe fn push(self, l: *mut lua_State) {
        // SAFETY: see above.
        unsafe {
            match self {
                Constant::Text(text) => lua_pushstring_(l, text.as_ptr()),
                Constant::NullPointer => lua_pushlightuserdata(l, std::ptr::null_mut()),
            };
        }
    }
}

/// The constants of the libraries that have some.
pub(super) const CONSTANTS: [(&CStr, &[(&CStr, Constant)]); 2] =
    [(c"cjson", &cjson::CONSTANTS), (c"cmsgpack", &cmsgpack::CONSTANTS)];

/// Before each run: no script finds what another has chosen, whichever VM it gets.
#[inline]
pub(super) fn reset(room: &Room) {
    room.json_options.set(JsonOptions::default());
}
