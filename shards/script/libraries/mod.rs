//! The libraries that scripts see beside `redis`: those that Lua does not bring, and ours in place of what a hook cannot stop.
//!
//! LuaJIT's own C functions run to their end whatever a hook says. Whatever can run long, or call back into Lua, is therefore
//! written here, does its work in steps (see [`super::work`]), and bounds how deep it nests.

mod chunks;
mod cjson;
mod cmsgpack;
mod coroutines;
mod format;
#[cfg(test)]
mod long_work_tests;
mod pattern;
mod pattern_functions;
mod sort;
#[cfg(test)]
mod string_oracle_tests;
mod strings;
mod structs;
mod tables;
mod values;

pub(super) use pattern::Patterns;

use super::lua::lua_CFunction;
use std::ffi::CStr;

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
