//! The proof, at start, that a script can be stopped wherever it loops.

use super::lua::*;
use std::os::raw::c_int;

/// Steps of the loop: some milliseconds when compiled, so that a build without the check is found out and does not hang.
const STEPS: &str = "local n = 0 for i = 1, 10000000 do n = n + 1 end return n";
/// Instructions until the hook: many more than there are outside of the loop, many fewer than the loop has.
const HOOK_INSTRUCTIONS: c_int = 1000;

/// Does a hook fire inside a loop that LuaJIT has compiled? Only if it was built with `LUAJIT_ENABLE_CHECKHOOK`, which a `CFLAGS` in the
/// environment or `cargo install` leaves out; without it no script that loops could be sliced or killed.
pub fn proves_hooks_fire_in_compiled_loops() -> bool {
    // SAFETY: a VM of its own, with LuaJIT's allocator, used by protected calls only and closed at the end.
    unsafe {
        let l = luaL_newstate();
        if l.is_null() {
            return false;
        }
        let mut was_stopped = false;
        let was_run = lua_cpcall(l, run_twice, (&raw mut was_stopped).cast()) == LUA_OK;
        lua_close(l);
        was_run && was_stopped
    }
}

/// Runs the loop once, which compiles it, and again under the hook; says through its argument whether that stopped it.
unsafe extern "C-unwind" fn run_twice(l: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned here; the argument points to the caller's flag.
    unsafe {
        let was_stopped = lua_touserdata(l, 1).cast::<bool>();
        lua_pushcfunction(l, luaopen_jit);
        lua_call(l, 0, 0);
        if luaL_loadbuffer(l, STEPS.as_ptr().cast(), STEPS.len(), c"=self_test".as_ptr()) != LUA_OK {
            lua_error(l);
        }
        lua_pushvalue(l, -1);
        lua_call(l, 0, 0);
        lua_sethook(l, Some(stop), LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
        *was_stopped = lua_pcall(l, 0, 0, 0) == LUA_ERRRUN;
        lua_sethook(l, None, 0, 0);
    }
    0
}

unsafe extern "C-unwind" fn stop(l: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: nothing is owned here.
    unsafe {
        lua_pushnil(l);
        lua_error(l)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jit_can_be_turned_off() {
        // SAFETY: a VM of the test's own, in which nothing but these raises.
        unsafe {
            let l = luaL_newstate();
            lua_pushcfunction(l, luaopen_jit);
            lua_call(l, 0, 0);
            lua_getfield(l, LUA_GLOBALSINDEX, c"jit".as_ptr());
            let status = |l: *mut lua_State| {
                lua_getfield(l, -1, c"status".as_ptr());
                lua_call(l, 0, 1);
                let on = lua_toboolean(l, -1) != 0;
                lua_settop(l, -2);
                on
            };
            assert!(status(l));
            turn_jit_off(l);
            assert!(!status(l));
            lua_close(l);
        }
    }

    #[test]
    fn this_build_can_stop_compiled_loops() {
        assert!(proves_hooks_fire_in_compiled_loops());
    }
}
