//! What a script returns, as a reply to its client.

use super::lua::*;
use super::slots;
use crate::limits::{SCRIPT_RESULT_BYTES_MAX, SCRIPT_RESULT_ELEMENTS_MAX};
use crate::reply::{Protocol, ReplySink};
use std::os::raw::c_int;

/// Free slots that one step of the conversion needs.
const STEP_SLOTS: c_int = 6;

/// An aggregate that is being written; its table is on the stack.
enum Frame {
    Array {
        next: c_int,
        len: c_int,
    },
    /// Above the table lie the last key and, until it is written, its value.
    Map {
        value_is_there: bool,
    },
    /// Above the table lies the last element.
    Set,
}

/// Writes the value on top of the main thread's stack, and pops it. Whether it was written as a whole: one that is too long is not, and what was
/// written of it is void.
///
/// Nested tables take a slot each, not a Rust frame: at the stack's bound they become Redis's error, as there.
///
/// # Safety
/// `l` is the main thread with its constants in place (see [`slots`]), outside of a protected call and with the limit lifted.
pub(super) unsafe fn write_value(l: *mut lua_State, script_protocol: Protocol, reply: &mut dyn ReplySink) -> bool {
    let mut frames: Vec<Frame> = Vec::new();
    let mut room = Room { elements: SCRIPT_RESULT_ELEMENTS_MAX, bytes: SCRIPT_RESULT_BYTES_MAX };
    // SAFETY: see above; each step checks that its slots are there.
    unsafe {
        if !room.has_place_for_top(l) {
            return false;
        }
        write_one(l, script_protocol, reply, &mut frames);
        while let Some(frame) = frames.last_mut() {
            match frame {
                Frame::Array { next, len } if *next <= *len => {
                    lua_rawgeti_(l, -1, *next);
                    *next += 1;
                }
                Frame::Array { .. } => {
                    lua_pop(l, 1);
                    frames.pop();
                    continue;
                }
                Frame::Map { value_is_there: value_is_there @ true } => *value_is_there = false,
                Frame::Map { value_is_there } => {
                    if lua_next(l, -2) == 0 {
                        lua_pop(l, 1);
                        frames.pop();
                        continue;
                    }
                    *value_is_there = true;
                    lua_pushvalue(l, -2);
                }
                Frame::Set => {
                    if lua_next(l, -2) == 0 {
                        lua_pop(l, 1);
                        frames.pop();
                        continue;
                    }
                    lua_pop(l, 1);
                    lua_pushvalue(l, -1);
                }
            }
            if !room.has_place_for_top(l) {
                return false;
            }
            write_one(l, script_protocol, reply, &mut frames);
        }
    }
    true
}

/// What may still be written.
struct Room {
    elements: usize,
    bytes: usize,
}

impl Room {
    /// Whether there is place for the value on top; it is taken then.
    #[inline]
    unsafe fn has_place_for_top(&mut self, l: *mut lua_State) -> bool {
        // SAFETY: as in `write_value`.
        let bytes = unsafe { if lua_type(l, -1) == LUA_TSTRING { string_at(l, -1).len() } else { 0 } };
        if self.elements == 0 || bytes > self.bytes {
            return false;
        }
        self.elements -= 1;
        self.bytes -= bytes;
        true
    }
}

/// Writes the value on top and pops it; or, for an aggregate, writes its header and leaves its table with a frame.
unsafe fn write_one(l: *mut lua_State, script_protocol: Protocol, reply: &mut dyn ReplySink, frames: &mut Vec<Frame>) {
    // SAFETY: as in `write_value`.
    unsafe {
        if lua_checkstack(l, STEP_SLOTS) == 0 {
            reply.error("ERR reached lua stack limit");
            lua_pop(l, 1);
            return;
        }
        match lua_type(l, -1) {
            LUA_TSTRING => reply.bulk(string_at(l, -1)),
            LUA_TNUMBER => reply.integer(truncated(lua_tonumber(l, -1))),
            LUA_TBOOLEAN => match (lua_toboolean(l, -1) != 0, script_protocol) {
                (value, Protocol::Resp3) => reply.boolean(value),
                (true, Protocol::Resp2) => reply.integer(1),
                (false, Protocol::Resp2) => reply.null(),
            },
            LUA_TTABLE => return write_table(l, reply, frames),
            _ => reply.null(),
        }
        lua_pop(l, 1);
    }
}

/// A table: Redis's tagged forms, in Redis's order, or else an array up to its first nil.
unsafe fn write_table(l: *mut lua_State, reply: &mut dyn ReplySink, frames: &mut Vec<Frame>) {
    // SAFETY: as in `write_value`.
    unsafe {
        if field(l, slots::ERR) == LUA_TSTRING {
            reply.error_bytes(c_string_at(l, -1));
            return lua_pop(l, 2);
        }
        lua_pop(l, 1);
        if field(l, slots::OK) == LUA_TSTRING {
            reply.simple_bytes(&one_line(c_string_at(l, -1)));
            return lua_pop(l, 2);
        }
        lua_pop(l, 1);
        if field(l, slots::DOUBLE) == LUA_TNUMBER {
            reply.double(lua_tonumber(l, -1));
            return lua_pop(l, 2);
        }
        lua_pop(l, 1);
        if field(l, slots::BIG_NUMBER) == LUA_TSTRING {
            reply.big_number(&one_line(string_at(l, -1)));
            return lua_pop(l, 2);
        }
        lua_pop(l, 1);
        if field(l, slots::VERBATIM_STRING) == LUA_TTABLE {
            if field(l, slots::FORMAT) == LUA_TSTRING {
                lua_pushvalue(l, slots::STRING);
                lua_rawget_(l, -3);
                if lua_type(l, -1) == LUA_TSTRING {
                    reply.verbatim(three_letters(string_at(l, -2)), string_at(l, -1));
                    return lua_pop(l, 4);
                }
                lua_pop(l, 1);
            }
            lua_pop(l, 1);
        }
        lua_pop(l, 1);
        if field(l, slots::MAP) == LUA_TTABLE {
            lua_remove(l, -2);
            reply.map(count_pairs(l));
            lua_pushnil(l);
            return frames.push(Frame::Map { value_is_there: false });
        }
        lua_pop(l, 1);
        if field(l, slots::SET) == LUA_TTABLE {
            lua_remove(l, -2);
            reply.set(count_pairs(l));
            lua_pushnil(l);
            return frames.push(Frame::Set);
        }
        lua_pop(l, 1);
        let mut len = 0;
        loop {
            lua_rawgeti_(l, -1, len + 1);
            let is_end = lua_isnil(l, -1) != 0;
            lua_pop(l, 1);
            if is_end {
                break;
            }
            len += 1;
        }
        reply.array(len as usize);
        frames.push(Frame::Array { next: 1, len });
    }
}

/// Pushes a field of the table on top, whose name is a constant, and says its type.
unsafe fn field(l: *mut lua_State, name: c_int) -> c_int {
    // SAFETY: as in `write_value`.
    unsafe {
        lua_pushvalue(l, name);
        lua_rawget_(l, -2);
        lua_type(l, -1)
    }
}

/// The number of pairs in the table on top.
unsafe fn count_pairs(l: *mut lua_State) -> usize {
    let mut count = 0;
    // SAFETY: as in `write_value`; the key that `lua_next` gets is its own.
    unsafe {
        lua_pushnil(l);
        while lua_next(l, -2) != 0 {
            lua_pop(l, 1);
            count += 1;
        }
    }
    count
}

/// A format as RESP3 has room for it: cut at a zero or after three letters, filled up with blanks.
fn three_letters(format: &[u8]) -> [u8; 3] {
    let mut letters = [b' '; 3];
    let given = format.iter().take_while(|&&byte| byte != 0);
    letters.iter_mut().zip(given).for_each(|(letter, given)| *letter = *given);
    letters
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

/// A double as C's cast makes it an integer on this processor: what does not fit becomes the smallest one.
pub(super) fn truncated(value: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&value) { value as i64 } else { i64::MIN }
}
