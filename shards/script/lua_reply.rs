//! The sink that puts a command's reply onto the Lua stack, as Redis converts it.

use super::encoded;
use super::failure::COUNTED;
use super::lua::*;
use super::room::Room;
use crate::limits::SCRIPT_REPLY_ELEMENTS_MAX;
use crate::reply::{Protocol, ReplySink};
use smallvec::SmallVec;
use std::ffi::CStr;
use std::os::raw::c_int;

/// Free slots that an aggregate needs above its elements.
const AGGREGATE_SLOTS: c_int = 8;
/// An aggregate whose elements are still coming; its table is on the stack.
enum Frame {
    Array {
        next: c_int,
        len: c_int,
    },
    /// `{map={...}}`; between key and value the key is on the stack as well.
    Map {
        pairs_left: usize,
        key_is_there: bool,
    },
    /// `{set={[element]=true}}`
    Set {
        left: usize,
    },
    /// Attributes, which scripts do not see.
    Discarded {
        left: usize,
    },
}

/// Why a reply cannot be handed to the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// It would pass the VM's memory limit.
    Memory,
    /// It is nested deeper than the stack, or longer than a table.
    Size,
}

/// One reply on its way to the stack. Used with the memory limit lifted, so that no push raises through the host's frames; what is
/// large is measured against the limit here.
pub(super) struct LuaReply<'a> {
    l: *mut lua_State,
    room: &'a Room,
    frames: SmallVec<[Frame; 2]>,
    is_error: bool,
    is_complete: bool,
    failure: Option<Failure>,
}

impl<'a> LuaReply<'a> {
    /// # Safety
    /// `l` is a live thread of the room's VM with ten free slots, and nothing else pops from it while the reply is being written.
    pub(super) unsafe fn new(l: *mut lua_State, room: &'a Room) -> Self {
        LuaReply { l, room, frames: SmallVec::new(), is_error: false, is_complete: false, failure: None }
    }

    /// Is the reply an error (not: does it contain one)?
    pub(super) fn is_error(&self) -> bool {
        self.is_error
    }

    /// Has the whole reply arrived?
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete || self.failure.is_some()
    }

    /// Why there is no value, if there is none.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Writes one value with `push`, which leaves exactly one more value on the stack.
    #[inline(always)]
    fn value(&mut self, bytes: usize, push: impl FnOnce(*mut lua_State)) {
        assert!(!self.is_complete, "a reply is one value");
        if self.failure.is_some() {
            return;
        }
        if self.room.memory.exceeds(bytes) || bytes > STRING_BYTES_MAX {
            self.failure = Some(Failure::Memory);
            return;
        }
        push(self.l);
        if self.frames.is_empty() {
            self.is_complete = true;
        } else {
            self.settle();
        }
    }

    /// Puts the value on top of the stack where it belongs, and closes the aggregates that are full with it.
    fn settle(&mut self) {
        let l = self.l;
        // SAFETY: the frames mirror what lies on the stack; see `new`. Tables are ours, keys are neither nil nor NaN.
        unsafe {
            while let Some(frame) = self.frames.last_mut() {
                match frame {
                    Frame::Array { next, len } => {
                        lua_rawseti_(l, -2, *next);
                        *next += 1;
                        if *next <= *len {
                            return;
                        }
                        self.frames.pop();
                    }
                    Frame::Map { key_is_there: key_is_there @ false, .. } => {
                        *key_is_there = true;
                        return;
                    }
                    Frame::Map { pairs_left, key_is_there } => {
                        *key_is_there = false;
                        *pairs_left -= 1;
                        let done = *pairs_left == 0;
                        if lua_isnil(l, -2) != 0 {
                            lua_pop(l, 2);
                        } else {
                            lua_rawset(l, -3);
                        }
                        if !done {
                            return;
                        }
                        self.frames.pop();
                        wrap(l, c"map");
                    }
                    Frame::Set { left } => {
                        *left -= 1;
                        let done = *left == 0;
                        if lua_isnil(l, -1) != 0 {
                            lua_pop(l, 1);
                        } else {
                            lua_pushboolean(l, 1);
                            lua_rawset(l, -3);
                        }
                        if !done {
                            return;
                        }
                        self.frames.pop();
                        wrap(l, c"set");
                    }
                    Frame::Discarded { left } => {
                        lua_pop(l, 1);
                        *left -= 1;
                        if *left == 0 {
                            self.frames.pop();
                        }
                        return;
                    }
                }
            }
        }
        self.is_complete = true;
    }

    /// Makes room for an aggregate; false if it cannot be had, and then the rest of the reply is dropped.
    fn open(&mut self, elements: usize) -> bool {
        assert!(!self.is_complete, "a reply is one value");
        if self.failure.is_some() {
            return false;
        }
        // SAFETY: the thread is live; with the limit lifted this answers instead of raising.
        if elements > SCRIPT_REPLY_ELEMENTS_MAX || unsafe { lua_checkstack(self.l, AGGREGATE_SLOTS) } == 0 {
            self.failure = Some(Failure::Size);
            return false;
        }
        if self.room.memory.exceeds(elements * 16) {
            self.failure = Some(Failure::Memory);
            return false;
        }
        true
    }

    /// Pushes `{name=value}`, the value being pushed by `push`.
    fn tagged(&mut self, bytes: usize, name: &CStr, push: impl FnOnce(*mut lua_State)) {
        self.value(bytes, |l| {
            // SAFETY: ten slots are free (see `new`; deeper down `open` has made them).
            unsafe {
                lua_createtable(l, 0, 1);
                push(l);
                lua_setfield(l, -2, name.as_ptr());
            }
        });
    }
}

/// Replaces the table on top by `{name=table}`.
///
/// # Safety
/// Two slots are free and the limit is lifted.
unsafe fn wrap(l: *mut lua_State, name: &CStr) {
    // SAFETY: see above.
    unsafe {
        lua_createtable(l, 0, 1);
        lua_insert(l, -2);
        lua_setfield(l, -2, name.as_ptr());
    }
}

/// Pushes `{err=text}`: a code, a blank and a message without line breaks around it. A text without a blank is only a message, and gets
/// Redis's code.
///
/// # Safety
/// Three slots are free and the limit is lifted.
pub(super) unsafe fn push_error(l: *mut lua_State, text: &[u8]) {
    let (code, message) = match memchr::memchr(b' ', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (&b"ERR"[..], text),
    };
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = message.iter().position(|byte| !is_break(byte)).unwrap_or(message.len());
    let end = message.iter().rposition(|byte| !is_break(byte)).map_or(start, |last| last + 1);
    let trimmed = &message[start..end];
    // SAFETY: see above.
    unsafe {
        lua_createtable(l, 0, 2);
        if code.len() + 1 + trimmed.len() == text.len() {
            push_bytes(l, text);
        } else {
            push_bytes(l, &[code, b" ", trimmed].concat());
        }
        lua_setfield(l, -2, c"err".as_ptr());
    }
}

impl ReplySink for LuaReply<'_> {
    fn protocol(&self) -> Protocol {
        self.room.protocol.get()
    }

    fn simple_bytes(&mut self, text: &[u8]) {
        // SAFETY: as in `tagged`.
        self.tagged(text.len(), c"ok", |l| unsafe { push_bytes(l, text) });
    }

    fn error_bytes(&mut self, text: &[u8]) {
        self.is_error |= self.frames.is_empty();
        // SAFETY: as in `tagged`.
        self.value(text.len(), |l| unsafe {
            push_error(l, text);
            lua_pushboolean(l, 1);
            lua_setfield(l, -2, COUNTED.as_ptr());
        });
    }

    fn integer(&mut self, value: i64) {
        // SAFETY: a slot is free, as in `tagged`.
        self.value(0, |l| unsafe { lua_pushnumber(l, value as f64) });
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        // SAFETY: a slot is free, as in `tagged`.
        self.value(bytes.len(), |l| unsafe { push_bytes(l, bytes) });
    }

    fn null(&mut self) {
        let is_resp3 = self.protocol() == Protocol::Resp3;
        // SAFETY: a slot is free, as in `tagged`.
        self.value(0, |l| unsafe { if is_resp3 { lua_pushnil(l) } else { lua_pushboolean(l, 0) } });
    }

    fn null_array(&mut self) {
        self.null();
    }

    fn array(&mut self, len: usize) {
        if !self.open(len) {
            return;
        }
        // SAFETY: `open` has made room.
        unsafe { lua_createtable(self.l, len as c_int, 0) };
        if len == 0 {
            return self.settle();
        }
        self.frames.push(Frame::Array { next: 1, len: len as c_int });
    }

    fn map(&mut self, pairs: usize) {
        if self.protocol() == Protocol::Resp2 {
            return self.array(pairs * 2);
        }
        if !self.open(pairs) {
            return;
        }
        // SAFETY: `open` has made room.
        unsafe {
            lua_createtable(self.l, 0, pairs as c_int);
            if pairs == 0 {
                wrap(self.l, c"map");
                return self.settle();
            }
        }
        self.frames.push(Frame::Map { pairs_left: pairs, key_is_there: false });
    }

    fn set(&mut self, len: usize) {
        if self.protocol() == Protocol::Resp2 {
            return self.array(len);
        }
        if !self.open(len) {
            return;
        }
        // SAFETY: `open` has made room.
        unsafe {
            lua_createtable(self.l, 0, len as c_int);
            if len == 0 {
                wrap(self.l, c"set");
                return self.settle();
            }
        }
        self.frames.push(Frame::Set { left: len });
    }

    fn push(&mut self, len: usize) {
        self.array(len);
    }

    fn double(&mut self, value: f64) {
        if self.protocol() == Protocol::Resp2 {
            let text = super::number::NumberText::shortest_of(value);
            return self.bulk(text.as_bytes());
        }
        // SAFETY: as in `tagged`.
        self.tagged(0, c"double", |l| unsafe { lua_pushnumber(l, value) });
    }

    fn boolean(&mut self, value: bool) {
        if self.protocol() == Protocol::Resp2 {
            return self.integer(value.into());
        }
        // SAFETY: a slot is free, as in `tagged`.
        self.value(0, |l| unsafe { lua_pushboolean(l, value.into()) });
    }

    fn big_number(&mut self, digits: &[u8]) {
        if self.protocol() == Protocol::Resp2 {
            return self.bulk(digits);
        }
        // SAFETY: as in `tagged`.
        self.tagged(digits.len(), c"big_number", |l| unsafe { push_bytes(l, digits) });
    }

    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.protocol() == Protocol::Resp2 {
            return self.bulk(text);
        }
        // SAFETY: as in `tagged`.
        self.tagged(text.len(), c"verbatim_string", |l| unsafe {
            lua_createtable(l, 0, 2);
            push_bytes(l, text);
            lua_setfield(l, -2, c"string".as_ptr());
            push_bytes(l, &format);
            lua_setfield(l, -2, c"format".as_ptr());
        });
    }

    fn attribute(&mut self, pairs: usize) {
        if pairs > 0 && self.open(pairs) {
            self.frames.push(Frame::Discarded { left: pairs * 2 });
        }
    }

    fn encoded(&mut self, bytes: &[u8]) {
        encoded::replay(bytes, self);
    }
}
