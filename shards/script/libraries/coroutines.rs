//! `coroutine.create`, `resume` and `wrap`: LuaJIT nests the machine's stack for each coroutine that resumes another one, without a bound.

use super::Function;
use super::values::bad_argument;
use crate::script::lua::*;
use crate::script::nesting::RESUMED_MAX;
use crate::script::room::{Ending, room};
use crate::script::shell::{Then, functions, stop};
use std::os::raw::c_int;

functions! {
    coroutine_create => create;
    coroutine_try_create => try_create;
    coroutine_resume => resume;
    coroutine_resume_wrapped => resume_wrapped;
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 4] = [
    (c"create", coroutine_create),
    (c"resume", coroutine_resume),
    (c"resume_wrapped", coroutine_resume_wrapped),
    (c"try_create", coroutine_try_create),
];

/// What came of resuming a coroutine.
enum Resumed {
    /// Its results are the topmost values.
    Results(c_int),
    /// Its error is the topmost value.
    Error,
    /// The run is to end.
    Stopped,
}

/// Why a coroutine cannot be resumed, if it cannot.
unsafe fn hindrance(l: *mut lua_State, coroutine: *mut lua_State) -> Option<&'static str> {
    // SAFETY: both are live threads; a `lua_Debug` of zeros is one.
    unsafe {
        if l == coroutine {
            return Some("cannot resume running coroutine");
        }
        match lua_status(coroutine) {
            LUA_YIELD => None,
            LUA_OK => {
                let mut debug: lua_Debug = std::mem::zeroed();
                if lua_getstack(coroutine, 0, &mut debug) > 0 {
                    Some("cannot resume normal coroutine")
                } else if lua_gettop(coroutine) == 0 {
                    Some("cannot resume dead coroutine")
                } else {
                    None
                }
            }
            _ => Some("cannot resume dead coroutine"),
        }
    }
}

/// Resumes a coroutine with the topmost values.
unsafe fn go_on(l: *mut lua_State, coroutine: *mut lua_State, arguments: c_int) -> Resumed {
    // SAFETY: nothing is owned; the coroutine catches its own errors.
    unsafe {
        let room = room(l);
        let mut hindrance = hindrance(l, coroutine);
        if hindrance.is_none() && !room.nesting.enter(RESUMED_MAX) {
            hindrance = Some("C stack overflow");
        }
        if hindrance.is_none() && lua_checkstack(coroutine, arguments) == 0 {
            hindrance = Some("too many arguments to resume");
        }
        if let Some(text) = hindrance {
            push_bytes(l, text.as_bytes());
            return Resumed::Error;
        }
        lua_xmove(l, coroutine, arguments);
        let status = lua_resume_(coroutine, arguments);
        if room.ending.get() != Ending::Open {
            return Resumed::Stopped;
        }
        if !matches!(status, LUA_OK | LUA_YIELD) {
            lua_xmove(coroutine, l, 1);
            return Resumed::Error;
        }
        let count = lua_gettop(coroutine);
        if lua_checkstack(l, count + 1) == 0 {
            lua_settop(coroutine, 0);
            push_bytes(l, b"too many results to resume");
            return Resumed::Error;
        }
        lua_xmove(coroutine, l, count);
        Resumed::Results(count)
    }
}

unsafe fn resume(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises.
    unsafe {
        let coroutine = lua_tothread(l, 1);
        if coroutine.is_null() {
            return bad_argument(l, 1, c"coroutine expected");
        }
        let (is_done, count) = match go_on(l, coroutine, lua_gettop(l) - 1) {
            Resumed::Results(count) => (true, count),
            Resumed::Error => (false, 1),
            Resumed::Stopped => return stop(l, room(l)),
        };
        lua_pushboolean(l, is_done.into());
        lua_insert(l, -(count + 1));
        Then::Return(count + 1)
    }
}

/// A coroutine of a Lua function: not of a native one, as in Lua 5.1.
unsafe fn create(l: *mut lua_State) -> Then {
    // SAFETY: as in `resume`.
    unsafe {
        if lua_type(l, 1) != LUA_TFUNCTION || lua_iscfunction(l, 1) != 0 {
            return bad_argument(l, 1, c"Lua function expected");
        }
        let coroutine = lua_newthread(l);
        lua_pushvalue(l, 1);
        lua_xmove(l, coroutine, 1);
    }
    Then::Return(1)
}

/// The same for the sandbox: nil instead of an error.
unsafe fn try_create(l: *mut lua_State) -> Then {
    // SAFETY: as in `resume`.
    unsafe {
        if lua_type(l, 1) == LUA_TFUNCTION && lua_iscfunction(l, 1) == 0 {
            return create(l);
        }
        lua_pushnil(l);
    }
    Then::Return(1)
}

/// Resumes a coroutine for the function that the sandbox has made of it, and raises its error.
unsafe fn resume_wrapped(l: *mut lua_State) -> Then {
    // SAFETY: as in `resume`; the sandbox gives a coroutine.
    unsafe {
        let coroutine = lua_tothread(l, 1);
        match go_on(l, coroutine, lua_gettop(l) - 1) {
            Resumed::Results(count) => Then::Return(count),
            Resumed::Stopped => stop(l, room(l)),
            Resumed::Error => {
                if lua_isstring(l, -1) != 0 {
                    luaL_where(l, 1);
                    lua_insert(l, -2);
                    lua_concat(l, 2);
                }
                Then::Raise
            }
        }
    }
}
