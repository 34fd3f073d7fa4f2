//! The raw interface of LuaJIT, and what every caller of it must know.
//!
//! **Raising.** A Lua error unwinds like a C++ exception, through every frame up to the innermost protected call. Frames that own
//! something (a `Vec`, a guard) or that hold a borrow whose owner expects to be told must not lie in between. The rule of this room:
//! a function that Lua calls is a thin `extern "C-unwind"` shell over an inner Rust function. The inner function does all the work with
//! the memory limit lifted ([`super::memory::Lifted`]), so that no call of it can raise; it pushes results, or the error value, and
//! returns, dropping what it owned. The shell owns nothing and is the only one to raise.
//!
//! **Panics.** They never cross a Lua frame: the callbacks into the host run under `catch_unwind`, the payload is kept, the script is
//! ended as if killed, and the panic goes on from [`super::vm`] once the coroutine has ended.
//!
//! **Unprotected calls.** Calls on the main thread outside of a protected call must not raise: they too run with the limit lifted. What is
//! left is the machine's own memory being exhausted; LuaJIT then ends the process, as Rust's allocator would.
//!
//! **Finalizers.** There are none (`newproxy` and `ffi` are absent), so that a garbage collection never runs Lua code.

pub(super) use mlua::ffi::*;
use std::os::raw::{c_char, c_int, c_void};

/// The longest string that LuaJIT can hold, less a margin for what an error text adds.
pub(super) const STRING_BYTES_MAX: usize = i32::MAX as usize - 4096;

/// Pushes bytes as a string. Bytes past [`STRING_BYTES_MAX`] are cut off: the callers refuse such lengths before.
///
/// # Safety
/// `l` is a live thread with a free slot; it raises at the memory limit unless that is lifted.
#[inline(always)]
pub(super) unsafe fn push_bytes(l: *mut lua_State, bytes: &[u8]) {
    let len = bytes.len().min(STRING_BYTES_MAX);
    // SAFETY: the pointer and the length are those of a live slice.
    unsafe { lua_pushlstring_(l, bytes.as_ptr().cast(), len) }
}

/// The bytes of the string at `index`; empty if there is none. A number in that slot would be changed into a string in place (and
/// allocate): callers have looked at the type.
///
/// # Safety
/// The value must stay reachable (on a stack, in a table) for as long as the slice is used.
#[inline(always)]
pub(super) unsafe fn string_at<'a>(l: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: Lua strings do not move while they are reachable.
    unsafe {
        let start = lua_tolstring(l, index, &mut len);
        if start.is_null() { &[] } else { std::slice::from_raw_parts(start.cast(), len) }
    }
}

/// The same up to its first zero byte, where Redis takes a text as one of C's.
///
/// # Safety
/// As for [`string_at`].
pub(super) unsafe fn c_string_at<'a>(l: *mut lua_State, index: c_int) -> &'a [u8] {
    // SAFETY: passed on.
    let text = unsafe { string_at(l, index) };
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

unsafe extern "C" {
    fn luaJIT_setmode(l: *mut lua_State, index: c_int, mode: c_int) -> c_int;
}

unsafe extern "C-unwind" {
    /// Can the thread yield here?
    pub(super) fn lua_isyieldable(l: *mut lua_State) -> c_int;
    /// `lua_load` with what is allowed: `t` for texts only.
    pub(super) fn lua_loadx(
        l: *mut lua_State,
        reader: lua_Reader,
        data: *mut c_void,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
}

/// `LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF`.
const ENGINE_OFF: c_int = 0;

/// Lets the VM interpret everything from now on.
///
/// # Safety
/// `l` is a live thread of a VM that runs nothing.
pub(super) unsafe fn turn_jit_off(l: *mut lua_State) {
    // SAFETY: the caller's promise; the mode of the engine takes no value from the stack.
    let done = unsafe { luaJIT_setmode(l, 0, ENGINE_OFF) };
    assert!(done == 1, "the JIT can always be turned off");
}
