//! Functions of `string` that can run long.

use super::Function;
use super::format::string_format;
use super::pattern_functions::{
    string_check_texts, string_find, string_gsub, string_is_plain, string_match, string_next_match,
};
use super::values::{check_integer, check_string, no_memory_for, push_buffer, reserve};
use crate::script::lua::*;
use crate::script::room::room;
use crate::script::shell::{Then, functions, stop};
use crate::script::work::Work;

functions! {
    string_rep => rep;
    string_lower => lower;
    string_upper => upper;
    string_reverse => reverse;
}

/// What scripts see of it, in part through the sandbox; `check_texts`, `is_plain` and `next_match` are the sandbox's own.
pub(super) const FUNCTIONS: [Function; 11] = [
    (c"check_texts", string_check_texts),
    (c"find", string_find),
    (c"format", string_format),
    (c"gsub", string_gsub),
    (c"is_plain", string_is_plain),
    (c"lower", string_lower),
    (c"match", string_match),
    (c"next_match", string_next_match),
    (c"rep", string_rep),
    (c"reverse", string_reverse),
    (c"upper", string_upper),
];

/// Bytes that are made between two counts of steps.
const PIECE_BYTES: usize = 64 << 10;

/// `string.rep`. A separator is not known to it, as in Lua 5.1.
unsafe fn rep(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises: the buffer is the room's.
    unsafe {
        let text = check_string(l, 1);
        // An `int`: what does not fit is cut off.
        let count = (check_integer(l, 2) as i32).max(0) as usize;
        let room = room(l);
        let buffer = &mut *room.nesting.buffer();
        let bytes = text.len() * count;
        if reserve(room, buffer, bytes).is_err() {
            return no_memory_for(l, room, buffer);
        }
        let mut work = Work::new(room);
        if bytes > 0 {
            buffer.extend_from_slice(text);
        }
        while buffer.len() < bytes {
            let more =
                buffer.len().min(bytes - buffer.len()).min(PIECE_BYTES.max(text.len()) / text.len() * text.len());
            if work.spend(more / 8).is_err() {
                return stop(l, room);
            }
            buffer.extend_from_within(..more);
        }
        push_buffer(l, room, buffer)
    }
}

unsafe fn lower(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { in_pieces(l, false, |byte| byte.to_ascii_lowercase()) }
}

unsafe fn upper(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { in_pieces(l, false, |byte| byte.to_ascii_uppercase()) }
}

unsafe fn reverse(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { in_pieces(l, true, |byte| byte) }
}

/// Makes a string from another one byte by byte, maybe from its end.
unsafe fn in_pieces(l: *mut lua_State, is_reversed: bool, change: impl Fn(u8) -> u8) -> Then {
    // SAFETY: as in `rep`.
    unsafe {
        let text = check_string(l, 1);
        let room = room(l);
        let buffer = &mut *room.nesting.buffer();
        if reserve(room, buffer, text.len()).is_err() {
            return no_memory_for(l, room, buffer);
        }
        let mut work = Work::new(room);
        let mut left = text;
        while !left.is_empty() {
            let count = left.len().min(PIECE_BYTES);
            if work.spend(count / 4).is_err() {
                return stop(l, room);
            }
            if is_reversed {
                let (rest, piece) = left.split_at(left.len() - count);
                buffer.extend(piece.iter().rev().map(|&byte| change(byte)));
                left = rest;
            } else {
                let (piece, rest) = left.split_at(count);
                buffer.extend(piece.iter().map(|&byte| change(byte)));
                left = rest;
            }
        }
        push_buffer(l, room, buffer)
    }
}
