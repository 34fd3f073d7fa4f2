//! `redis.register_function`: what a library says while it is loaded.

use super::chunk::Chunk;
use super::lua::*;
use super::metadata::{BAD_NAME, is_name};
use super::room::room;
use super::shell::{Then, functions, raise};
use super::source::ScriptFlags;
use crate::limits::LIBRARY_FUNCTIONS_MAX;
use std::os::raw::c_int;

functions! {
    redis_register_function => register;
}

/// A function that a library has registered in one VM.
pub(super) struct Registered {
    pub(super) name: Box<[u8]>,
    pub(super) description: Option<Box<[u8]>>,
    pub(super) flags: ScriptFlags,
    pub(super) callback: Chunk,
}

/// The load of a library that is under way in a VM.
pub(super) struct Loading {
    pub(super) functions: Vec<Registered>,
    /// How often the hook may still come.
    pub(super) hooks_left: u32,
}

/// The error of a load that takes too long.
pub(super) const LOAD_TIMEOUT: &str = "ERR FUNCTION LOAD timeout";

impl Loading {
    /// The hook has come; whether the load may go on.
    pub(super) fn goes_on(&mut self) -> bool {
        self.hooks_left = self.hooks_left.saturating_sub(1);
        self.hooks_left > 0
    }
}

/// A call's arguments; the callback is at this index of the stack.
struct Registration<'a> {
    name: &'a [u8],
    description: Option<&'a [u8]>,
    flags: ScriptFlags,
    callback: c_int,
}

unsafe fn register(l: *mut lua_State) -> Then {
    // SAFETY: Lua gives a function 20 free slots above its arguments; the limit is lifted, so nothing here raises. What is borrowed from
    // the stack stays there until the end.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        let mut loading = room.loading.borrow_mut();
        let Some(loading) = loading.as_mut() else {
            return raise(l, b"ERR redis.register_function can only be called on FUNCTION LOAD command");
        };
        let count = lua_gettop(l);
        let read = match count {
            1 => named(l),
            2 => positional(l),
            _ => Err(&b"ERR wrong number of arguments to redis.register_function"[..]),
        };
        let registration = match read {
            Ok(registration) => registration,
            Err(text) => return raise(l, text),
        };
        if !is_name(registration.name) {
            return raise(l, &[b"ERR ", BAD_NAME].concat());
        }
        // Clients call functions in any case of letters.
        if loading.functions.iter().any(|function| function.name.eq_ignore_ascii_case(registration.name)) {
            return raise(l, b"ERR Function already exists in the library");
        }
        if loading.functions.len() == LIBRARY_FUNCTIONS_MAX {
            return raise(l, b"ERR The library registers too many functions");
        }
        let (name, description) = (registration.name.into(), registration.description.map(Box::from));
        let flags = registration.flags;
        lua_pushvalue(l, registration.callback);
        let callback = Chunk::keep(l);
        loading.functions.push(Registered { name, description, flags, callback });
    }
    Then::Return(0)
}

/// `register_function(name, callback)`
unsafe fn positional<'a>(l: *mut lua_State) -> Result<Registration<'a>, &'static [u8]> {
    // SAFETY: as in `register`. A number becomes a string in its slot.
    unsafe {
        if lua_isstring(l, 1) == 0 {
            return Err(b"ERR first argument to redis.register_function must be a string");
        }
        if lua_type(l, 2) != LUA_TFUNCTION {
            return Err(b"ERR second argument to redis.register_function must be a function");
        }
        Ok(Registration { name: string_at(l, 1), description: None, flags: DECLARED, callback: 2 })
    }
}

/// `register_function{function_name=..., callback=..., flags={...}, description=...}`
unsafe fn named<'a>(l: *mut lua_State) -> Result<Registration<'a>, &'static [u8]> {
    // Where the values that are kept lie: each has its slot, so that what is borrowed stays on the stack.
    const NAME: c_int = 2;
    const CALLBACK: c_int = 3;
    const DESCRIPTION: c_int = 4;
    // SAFETY: as in `register`; `lua_next` gets the keys that it gave, strings that were not changed.
    unsafe {
        if lua_type(l, 1) != LUA_TTABLE {
            return Err(b"ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).");
        }
        lua_settop(l, DESCRIPTION);
        let mut flags = DECLARED;
        lua_pushnil(l);
        while lua_next(l, 1) != 0 {
            if lua_isstring(l, -2) == 0 {
                return Err(b"ERR named argument key given to redis.register_function is not a string");
            }
            if lua_type(l, -2) != LUA_TSTRING {
                return Err(UNKNOWN_ARGUMENT);
            }
            let key = string_at(l, -2).to_ascii_lowercase();
            match key.as_slice() {
                b"function_name" if lua_isstring(l, -1) == 0 => {
                    return Err(b"ERR function_name argument given to redis.register_function must be a string");
                }
                b"function_name" => lua_replace(l, NAME),
                b"description" if lua_isstring(l, -1) == 0 => {
                    return Err(b"ERR description argument given to redis.register_function must be a string");
                }
                b"description" => lua_replace(l, DESCRIPTION),
                b"callback" if lua_type(l, -1) != LUA_TFUNCTION => {
                    return Err(b"ERR callback argument given to redis.register_function must be a function");
                }
                b"callback" => lua_replace(l, CALLBACK),
                b"flags" if lua_type(l, -1) != LUA_TTABLE => {
                    return Err(
                        b"ERR flags argument to redis.register_function must be a table representing function flags",
                    );
                }
                b"flags" => {
                    flags = read_flags(l)?;
                    lua_pop(l, 1);
                }
                _ => return Err(UNKNOWN_ARGUMENT),
            }
        }
        if lua_isnil(l, NAME) != 0 {
            return Err(b"ERR redis.register_function must get a function name argument");
        }
        if lua_isnil(l, CALLBACK) != 0 {
            return Err(b"ERR redis.register_function must get a callback argument");
        }
        let description = (lua_isnil(l, DESCRIPTION) == 0).then(|| string_at(l, DESCRIPTION));
        Ok(Registration { name: string_at(l, NAME), description, flags, callback: CALLBACK })
    }
}

/// The flags in the list on top.
unsafe fn read_flags(l: *mut lua_State) -> Result<ScriptFlags, &'static [u8]> {
    let mut flags = DECLARED;
    // SAFETY: as in `register`.
    unsafe {
        for index in 1.. {
            lua_rawgeti_(l, -1, index);
            let known = match lua_type(l, -1) {
                LUA_TNIL => {
                    lua_pop(l, 1);
                    break;
                }
                LUA_TSTRING => flags.set(&string_at(l, -1).to_ascii_lowercase()),
                _ => false,
            };
            lua_pop(l, 1);
            if !known {
                return Err(b"ERR unknown flag given");
            }
        }
    }
    Ok(flags)
}

/// Functions say what they do: without flags they may write.
const DECLARED: ScriptFlags = ScriptFlags {
    declared: true,
    no_writes: false,
    allow_oom: false,
    allow_stale: false,
    no_cluster: false,
    allow_cross_slot_keys: false,
};
const UNKNOWN_ARGUMENT: &[u8] = b"ERR unknown argument given to redis.register_function";
