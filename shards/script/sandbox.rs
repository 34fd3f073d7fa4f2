//! What every VM starts with: Lua's own libraries, ours, and the sandbox that locks them.

use super::api;
use super::libraries::{self, LIBRARIES};
use super::lua::*;
use super::registration::redis_register_function;
use super::slots;
use std::os::raw::c_int;

/// The text that builds the sandbox.
const SANDBOX: &str = include_str!("sandbox.lua");

/// Opens the libraries and builds the sandbox; runs protected.
pub(super) unsafe extern "C-unwind" fn build(l: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned here.
    unsafe {
        let libraries: [lua_CFunction; 7] =
            [luaopen_base, luaopen_table, luaopen_string, luaopen_math, luaopen_bit, luaopen_os, luaopen_jit];
        for library in libraries {
            lua_pushcfunction(l, library);
            lua_call(l, 0, 0);
        }
        if luaL_loadbuffer(l, SANDBOX.as_ptr().cast(), SANDBOX.len(), c"=sandbox".as_ptr()) != LUA_OK {
            lua_error(l);
        }
        // LuaJIT makes these texts when it has overwritten the function in its frame, which an error of the memory limit then looks at:
        // they are there from the start.
        for text in [c"cannot resume dead coroutine", c"cannot resume running coroutine"] {
            lua_pushstring_(l, text.as_ptr());
            luaL_ref(l, LUA_REGISTRYINDEX);
        }
        lua_createtable(l, 0, 32);
        for (name, function) in api::REDIS_FUNCTIONS {
            lua_pushcfunction(l, function);
            lua_setfield(l, -2, name.as_ptr());
        }
        for (name, number) in api::REDIS_NUMBERS {
            lua_pushnumber(l, number);
            lua_setfield(l, -2, name.as_ptr());
        }
        for (name, text) in api::REDIS_TEXTS {
            push_bytes(l, text.as_bytes());
            lua_setfield(l, -2, name.as_ptr());
        }
        let functions: [lua_CFunction; 8] = [
            api::assigned_to_locked,
            api::refused_by_locked,
            api::missing_global,
            api::random,
            api::random_seed,
            api::coroutine_running,
            api::coroutine_yield,
            api::is_stopped,
        ];
        for function in functions {
            lua_pushcfunction(l, function);
        }
        lua_createtable(l, 0, LIBRARIES.len() as c_int);
        for (library, functions) in LIBRARIES {
            lua_createtable(l, 0, functions.len() as c_int);
            for (name, function) in functions {
                lua_pushcfunction(l, *function);
                lua_setfield(l, -2, name.as_ptr());
            }
            lua_setfield(l, -2, library.as_ptr());
        }
        for (library, constants) in libraries::CONSTANTS {
            lua_getfield_(l, -1, library.as_ptr());
            for (name, constant) in constants {
                constant.push(l);
                lua_setfield(l, -2, name.as_ptr());
            }
            lua_pop(l, 1);
        }
        lua_pushcfunction(l, redis_register_function);
        lua_call(l, 11, 3);
        lua_setfield(l, LUA_REGISTRYINDEX, slots::LOADING_NAME.as_ptr());
        lua_setfield(l, LUA_REGISTRYINDEX, slots::CONTENTS_NAME.as_ptr());
        lua_replace(l, LUA_GLOBALSINDEX);
    }
    0
}
