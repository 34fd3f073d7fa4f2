//! Base functions that can run long: loading texts, and collecting garbage.

use super::Function;
use super::values::check_string;
use crate::script::lua::*;
use crate::script::nesting::CALLED_MAX;
use crate::script::room::{Ending, Room, room};
use crate::script::shell::{Then, functions, stop};
use crate::script::source::is_skipped;
use crate::script::work::Work;
use std::ffi::{CStr, c_char, c_void};
use std::os::raw::c_int;

functions! {
    base_collect => collect;
    base_load => load;
    base_loadstring => loadstring;
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 3] =
    [(c"collect", base_collect), (c"load", base_load), (c"loadstring", base_loadstring)];

/// Bytes of source that are compiled between two counts of steps.
const PIECE_BYTES: usize = 1 << 10;

/// What compiling a byte costs in steps.
const STEPS_PER_BYTE: usize = 16;

/// Bytecode is refused: it is not checked by the VM that runs it.
const TEXT_ONLY: &CStr = c"t";

/// What a step of the collector costs.
const STEPS_PER_COLLECTION: usize = 2048;

/// Collects all garbage in steps: what has begun, and then all once more.
unsafe fn collect(l: *mut lua_State) -> Then {
    // SAFETY: a step of the collector runs no Lua code.
    unsafe {
        let room = room(l);
        room.nesting.release_unused(&room.memory);
        let mut work = Work::new(room);
        for _ in 0..2 {
            loop {
                let is_over = {
                    let _lifted = room.memory.lift();
                    lua_gc(l, LUA_GCSTEP, 0) != 0
                };
                if is_over {
                    break;
                }
                if work.spend(STEPS_PER_COLLECTION).is_err() {
                    return stop(l, room);
                }
            }
        }
        lua_pushnumber(l, 0.0);
    }
    Then::Return(1)
}

/// A text that the parser takes piece by piece.
struct Text<'a> {
    room: &'a Room,
    work: Work<'a>,
    /// What comes before it.
    lead: &'static [u8],
    rest: &'a [u8],
}

unsafe extern "C-unwind" fn next_piece(_: *mut lua_State, text: *mut c_void, bytes: *mut usize) -> *const c_char {
    // SAFETY: the loader below gives its own text, which it does not touch meanwhile.
    unsafe {
        let text = &mut *text.cast::<Text<'_>>();
        if !text.lead.is_empty() {
            let lead = std::mem::take(&mut text.lead);
            *bytes = lead.len();
            return lead.as_ptr().cast();
        }
        let (piece, rest) = text.rest.split_at(text.rest.len().min(PIECE_BYTES));
        text.rest = rest;
        if text.work.spend(piece.len() * STEPS_PER_BYTE).is_err() || piece.is_empty() {
            text.rest = &[];
            return std::ptr::null();
        }
        *bytes = piece.len();
        piece.as_ptr().cast()
    }
}

/// `loadstring`.
unsafe fn loadstring(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises; the source stays on the stack.
    unsafe {
        let source = check_string(l, 1);
        let name = name_at(l, 2, 1);
        let room = room(l);
        let lead: &[u8] = if is_skipped(source) { b" " } else { b"" };
        let mut text = Text { room, work: Work::new(room), lead, rest: source };
        let status = lua_loadx(l, next_piece, (&raw mut text).cast(), name, TEXT_ONLY.as_ptr());
        finish(l, text.room, status)
    }
}

/// A chunk's name: an argument, or otherwise the text of another one.
unsafe fn name_at(l: *mut lua_State, index: c_int, otherwise: c_int) -> *const c_char {
    // SAFETY: as above; the text stays on the stack.
    unsafe {
        let index = if lua_type(l, index) <= LUA_TNIL { otherwise } else { index };
        luaL_checklstring(l, index, std::ptr::null_mut())
    }
}

/// What a loader answers: the function, or nil and the error.
unsafe fn finish(l: *mut lua_State, room: &Room, status: c_int) -> Then {
    // SAFETY: the function or the error is on top.
    unsafe {
        if room.ending.get() != Ending::Open {
            return stop(l, room);
        }
        if status == LUA_OK {
            return Then::Return(1);
        }
        lua_pushnil(l);
        lua_insert(l, -2);
    }
    Then::Return(2)
}

/// Where a piece stays that a script's function has returned, until the parser is through with it.
const PIECE: c_int = 3;

/// Asks the script's function for the next piece.
unsafe extern "C-unwind" fn ask_for_piece(l: *mut lua_State, _: *mut c_void, bytes: *mut usize) -> *const c_char {
    // SAFETY: it runs on the stack of `load`, protected; it owns nothing.
    unsafe {
        lua_pushvalue(l, 1);
        lua_call(l, 0, 1);
        match lua_type(l, -1) {
            LUA_TNIL => {
                lua_settop(l, -2);
                std::ptr::null()
            }
            LUA_TSTRING | LUA_TNUMBER => {
                lua_replace(l, PIECE);
                let piece = string_at(l, PIECE);
                *bytes = piece.len();
                piece.as_ptr().cast()
            }
            _ => {
                push_bytes(l, b"reader function must return a string");
                lua_error(l)
            }
        }
    }
}

/// `load`: the text comes from a function.
unsafe fn load(l: *mut lua_State) -> Then {
    // SAFETY: as in `loadstring`.
    unsafe {
        luaL_checktype(l, 1, LUA_TFUNCTION);
        let name = if lua_type(l, 2) <= LUA_TNIL {
            c"=(load)".as_ptr()
        } else {
            luaL_checklstring(l, 2, std::ptr::null_mut())
        };
        lua_settop(l, PIECE);
        let room = room(l);
        if !room.nesting.enter(CALLED_MAX) {
            lua_pushnil(l);
            push_bytes(l, b"C stack overflow");
            return Then::Return(2);
        }
        let status = lua_loadx(l, ask_for_piece, std::ptr::null_mut(), name, TEXT_ONLY.as_ptr());
        finish(l, room, status)
    }
}
