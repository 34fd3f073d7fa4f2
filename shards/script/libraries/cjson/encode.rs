//! Lua values to JSON.

use super::super::super::lua::*;
use super::super::super::room::Room;
use super::super::output::Output;
use super::super::trouble::Trouble;
use super::digits::Digits;
use super::options::{InvalidNumbers, JsonOptions};
use super::options_of;
use std::ffi::CStr;
use std::os::raw::c_int;

/// Steps that a value costs beside its bytes.
const VALUE_STEPS: usize = 16;
/// Steps that a number's digits cost.
const NUMBER_STEPS: usize = 64;
/// Slots above a table: a key and its value, and one for what follows.
const TABLE_SLOTS: c_int = 3;
/// Characters of a string between two looks at the clock.
const PIECE_BYTES: usize = 4096;

/// `cjson.encode`.
pub(super) unsafe fn encode(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; values are reached through the stack, which keeps them.
    unsafe {
        if lua_gettop(l) != 1 {
            return Err(Trouble::argument(1, "expected 1 argument"));
        }
        let options = options_of(l, room).get();
        let mut encoder = Encoder { l, options, output: Output::new(room), frames: Vec::new() };
        encoder.run()?;
        encoder.output.finish(l)
    }
}

/// A table that is being written; it is on the stack.
#[derive(Clone, Copy)]
enum Frame {
    Array {
        next: i64,
        len: i64,
    },
    /// Above the table lies the last key.
    Object {
        is_first: bool,
    },
}

/// Nested tables take slots of the Lua stack and frames here, no recursion: the Lua stack bounds both.
struct Encoder<'a> {
    l: *mut lua_State,
    options: JsonOptions,
    output: Output<'a>,
    frames: Vec<Frame>,
}

impl Encoder<'_> {
    /// Writes the value on top and pops it.
    unsafe fn run(&mut self) -> Result<(), Trouble> {
        let l = self.l;
        // SAFETY: the frames mirror what lies on the stack; each table has made sure of its slots.
        unsafe {
            self.value()?;
            while let Some(frame) = self.frames.last_mut() {
                match *frame {
                    Frame::Array { next, len } if next > len => {
                        lua_pop(l, 1);
                        self.frames.pop();
                        self.output.byte(b']')?;
                    }
                    Frame::Array { next, len } => {
                        *frame = Frame::Array { next: next + 1, len };
                        if next > 1 {
                            self.output.byte(b',')?;
                        }
                        lua_rawgeti_(l, -1, next as c_int);
                        self.value()?;
                    }
                    Frame::Object { .. } if lua_next(l, -2) == 0 => {
                        lua_pop(l, 1);
                        self.frames.pop();
                        self.output.byte(b'}')?;
                    }
                    Frame::Object { is_first } => {
                        *frame = Frame::Object { is_first: false };
                        if !is_first {
                            self.output.byte(b',')?;
                        }
                        self.key()?;
                        self.value()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the value on top and pops it; or opens a table, which stays with its frame.
    unsafe fn value(&mut self) -> Result<(), Trouble> {
        let l = self.l;
        self.output.spend(VALUE_STEPS)?;
        // SAFETY: there is a value on top.
        unsafe {
            match lua_type(l, -1) {
                LUA_TSTRING => self.string(string_at(l, -1))?,
                LUA_TNUMBER => self.number(lua_tonumber(l, -1))?,
                LUA_TBOOLEAN => self.output.push(if lua_toboolean(l, -1) != 0 { b"true" } else { b"false" })?,
                LUA_TTABLE => return self.open(),
                LUA_TNIL => self.output.push(b"null")?,
                LUA_TLIGHTUSERDATA if lua_touserdata(l, -1).is_null() => self.output.push(b"null")?,
                _ => return Err(self.refusal(-1, "type not supported")),
            }
            lua_pop(l, 1);
        }
        Ok(())
    }

    /// Begins the table on top.
    unsafe fn open(&mut self) -> Result<(), Trouble> {
        let l = self.l;
        let depth = self.frames.len() + 1;
        // SAFETY: the check makes the slots that the table needs.
        unsafe {
            if depth > self.options.encode_depth_max as usize || lua_checkstack(l, TABLE_SLOTS) == 0 {
                return Err(Trouble::text(format!("Cannot serialise, excessive nesting ({depth})")));
            }
            match self.array_len()? {
                Some(len) => {
                    self.output.byte(b'[')?;
                    self.frames.push(Frame::Array { next: 1, len });
                }
                None => {
                    self.output.byte(b'{')?;
                    self.frames.push(Frame::Object { is_first: true });
                    lua_pushnil(l);
                }
            }
        }
        Ok(())
    }

    /// The elements of the table on top if all its keys are whole numbers from 1 on, and not too few for the largest of them.
    unsafe fn array_len(&mut self) -> Result<Option<i64>, Trouble> {
        let l = self.l;
        let mut largest = 0_i32;
        let mut items = 0_i32;
        // SAFETY: `open` has made the slots.
        unsafe {
            lua_pushnil(l);
            while lua_next(l, -2) != 0 {
                self.output.spend(VALUE_STEPS)?;
                lua_pop(l, 1);
                let key = if lua_type(l, -1) == LUA_TNUMBER { lua_tonumber(l, -1) } else { 0.0 };
                if key < 1.0 || key.floor() != key {
                    lua_pop(l, 1);
                    return Ok(None);
                }
                if key > f64::from(largest) {
                    // Numbers that C's cast has no integer for: such a table is written as an object.
                    largest = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
                }
                items = items.wrapping_add(1);
            }
            let options = &self.options;
            let is_sparse = options.sparse_ratio > 0
                && largest > items.wrapping_mul(options.sparse_ratio)
                && largest > options.sparse_safe;
            match is_sparse {
                true if options.converts_sparse => Ok(None),
                true => Err(self.refusal(-1, "excessively sparse array")),
                false => Ok((largest > 0).then_some(largest.into())),
            }
        }
    }

    /// Writes the key below the value on top.
    unsafe fn key(&mut self) -> Result<(), Trouble> {
        let l = self.l;
        // SAFETY: the key stays on the stack, and stays what it is: a number is not made a string.
        unsafe {
            match lua_type(l, -2) {
                LUA_TSTRING => self.string(string_at(l, -2))?,
                LUA_TNUMBER => {
                    self.output.byte(b'"')?;
                    self.number(lua_tonumber(l, -2))?;
                    self.output.byte(b'"')?;
                }
                _ => return Err(self.refusal(-2, "table key must be a number or string")),
            }
        }
        self.output.byte(b':')
    }

    fn number(&mut self, value: f64) -> Result<(), Trouble> {
        if value.is_finite() {
            self.output.spend(NUMBER_STEPS)?;
            return self.output.push(Digits::new(value, self.options.precision as usize).as_bytes());
        }
        match self.options.encode_invalid {
            InvalidNumbers::Refused => Err(Trouble::text("Cannot serialise number: must not be NaN or Inf")),
            InvalidNumbers::Null => self.output.push(b"null"),
            InvalidNumbers::Written if value.is_nan() => self.output.push(b"nan"),
            InvalidNumbers::Written => self.output.push(if value > 0.0 { b"inf" } else { b"-inf" }),
        }
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Trouble> {
        self.output.byte(b'"')?;
        for piece in text.chunks(PIECE_BYTES) {
            self.output.spend(piece.len())?;
            let mut start = 0;
            for (index, &byte) in piece.iter().enumerate() {
                if IS_ESCAPED[byte as usize] {
                    self.output.push(&piece[start..index])?;
                    self.escape(byte)?;
                    start = index + 1;
                }
            }
            self.output.push(&piece[start..])?;
        }
        self.output.byte(b'"')
    }

    #[cold]
    fn escape(&mut self, byte: u8) -> Result<(), Trouble> {
        let letter = match byte {
            b'"' | b'\\' | b'/' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[value as usize];
                return self.output.push(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        };
        self.output.push(&[b'\\', letter])
    }

    #[cold]
    unsafe fn refusal(&self, index: c_int, reason: &str) -> Trouble {
        // SAFETY: there is a value at the index; names of types live as long as the VM.
        let kind = unsafe { CStr::from_ptr(lua_typename(self.l, lua_type(self.l, index))).to_string_lossy() };
        Trouble::text(format!("Cannot serialise {kind}: {reason}"))
    }
}

/// The bytes that do not stand for themselves in a string.
const IS_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 32 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'/' as usize] = true;
    table[127] = true;
    table
};
