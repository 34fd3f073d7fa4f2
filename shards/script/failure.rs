//! The text of an error that no `pcall` of the script caught.

use super::lua::*;
use std::ffi::CStr;
use std::os::raw::c_int;

/// Words the error that a thread ended with as Redis does: the message, the script (a digest, or a function's name), the place.
///
/// # Safety
/// `thread` has just ended with `status`, an error; the limit is lifted. `stopped_line` is where a hook raised
/// last, or 0, and `is_stopped` whether that is what it ended with.
pub(super) unsafe fn describe(
    thread: *mut lua_State,
    status: c_int,
    script: &[u8],
    stopped_line: c_int,
    is_stopped: bool,
) -> Vec<u8> {
    // SAFETY: the error value is on top; the frames are still there, LuaJIT does not unwind a thread that failed.
    unsafe {
        let Some(mut message) = message(thread, status) else {
            return [b"ERR Error running script ", script, b", not enough memory"].concat();
        };
        if let Some((source, line)) = place(thread, &message) {
            let line = if stopped_line > 0 && (is_stopped || line <= 0) { stopped_line } else { line };
            message.extend_from_slice(b" script: ");
            message.extend_from_slice(script);
            message.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
        }
        message
    }
}

/// The message of the error that a thread ended with; none if memory was short.
///
/// # Safety
/// As for [`describe`].
pub(super) unsafe fn message(thread: *mut lua_State, status: c_int) -> Option<Vec<u8>> {
    // SAFETY: see `describe`.
    unsafe {
        if status == LUA_ERRMEM {
            return None;
        }
        Some(match lua_type(thread, -1) {
            LUA_TTABLE => {
                lua_pushstring_(thread, c"err".as_ptr());
                lua_rawget_(thread, -2);
                if lua_isstring(thread, -1) != 0 {
                    c_string_at(thread, -1).to_vec()
                } else {
                    b"ERR unknown error".to_vec()
                }
            }
            LUA_TSTRING | LUA_TNUMBER => [b"ERR ", c_string_at(thread, -1)].concat(),
            LUA_TNIL => b"ERR nil".to_vec(),
            LUA_TBOOLEAN => format!("ERR {}", lua_toboolean(thread, -1) != 0).into_bytes(),
            kind => {
                let name = CStr::from_ptr(lua_typename(thread, kind)).to_string_lossy();
                format!("ERR {name}: {:p}", lua_topointer(thread, -1)).into_bytes()
            }
        })
    }
}

/// The text of the error on top, if that is one that a call was answered with: it was counted then.
///
/// # Safety
/// `l` is a live thread with two free slots, and the limit is lifted.
pub(super) unsafe fn counted(l: *mut lua_State) -> Option<Vec<u8>> {
    // SAFETY: see above.
    unsafe {
        if lua_type(l, -1) != LUA_TTABLE {
            return None;
        }
        lua_pushstring_(l, COUNTED.as_ptr());
        lua_rawget_(l, -2);
        let is_counted = lua_toboolean(l, -1) != 0;
        lua_pop(l, 1);
        if !is_counted {
            return None;
        }
        lua_pushstring_(l, c"err".as_ptr());
        lua_rawget_(l, -2);
        let text = (lua_type(l, -1) == LUA_TSTRING).then(|| c_string_at(l, -1).to_vec());
        lua_pop(l, 1);
        text
    }
}

/// The field of an error's table that says so.
pub(super) const COUNTED: &CStr = c"ignore_error_stats_update";

/// How far up a function of a script is looked for.
const LEVELS_MAX: c_int = 4;

/// Source and line of the function that raised; if that is no Lua function, of its caller.
unsafe fn place(thread: *mut lua_State, message: &[u8]) -> Option<(String, c_int)> {
    let mut found = None;
    for level in 0..LEVELS_MAX {
        // SAFETY: a `lua_Debug` of zeros is one; Lua fills it in. Its texts live as long as the functions on the stack.
        unsafe {
            let mut debug: lua_Debug = std::mem::zeroed();
            if lua_getstack(thread, level, &mut debug) == 0 || lua_getinfo(thread, c"Sl".as_ptr(), &mut debug) == 0 {
                break;
            }
            let name = CStr::from_ptr(debug.short_src.as_ptr()).to_string_lossy();
            let line = if debug.currentline > 0 { debug.currentline } else { line_of(message, &name).unwrap_or(-1) };
            found = Some((CStr::from_ptr(debug.source).to_string_lossy().into_owned(), line));
            // Functions of the sandbox, and those that LuaJIT brings in Lua, are no script's.
            let is_own = CStr::from_ptr(debug.source) == c"=sandbox" || line <= 0;
            if CStr::from_ptr(debug.what) != c"C" && !is_own {
                break;
            }
        }
    }
    found
}

/// The line that a message of the VM starts with. For the function on top, a thread that failed has no line of its own any more:
/// LuaJIT kept it in a machine frame that is gone. Only errors of the VM itself are raised there, and these name their line.
fn line_of(message: &[u8], source: &str) -> Option<c_int> {
    let rest = message.strip_prefix(b"ERR ")?.strip_prefix(source.as_bytes())?.strip_prefix(b":")?;
    std::str::from_utf8(rest.split(|&byte| byte == b':').next()?).ok()?.parse().ok()
}
