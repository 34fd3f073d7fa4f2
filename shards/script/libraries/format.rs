//! `string.format`, as strict as Lua 5.1's: `%s` takes strings and numbers only.

use super::values::{NoMemory, append, bad_argument, check_string, fail, integer, no_memory_for, push_buffer, reserve};
use crate::script::lua::*;
use crate::script::room::{Room, room};
use crate::script::shell::{Then, functions, stop};
use crate::script::work::Work;
use memchr::memchr;
use std::ffi::c_char;
use std::os::raw::c_int;

functions! {
    string_format => format_;
}

/// The longest text that one number becomes: 309 digits, a point, 99 digits.
const NUMBER_BYTES: usize = 512;

/// Bytes that are quoted between two counts of steps.
const PIECE_BYTES: usize = 4096;

/// Strings from this length on are taken whole, whatever width they are given.
const WHOLE_BYTES: usize = 100;

unsafe extern "C" {
    fn snprintf(text: *mut c_char, bytes: usize, format: *const c_char, ...) -> c_int;
}

/// One conversion: `%`, flags, width, precision, letter.
struct Conversion {
    /// What stands between the percent sign and the letter.
    modifiers: [u8; 12],
    modifiers_len: usize,
    letter: u8,
}

impl Conversion {
    /// Takes one from what follows a percent sign.
    fn parse(rest: &mut &[u8]) -> Result<Self, &'static str> {
        let digits = |at: usize| rest[at..].iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = rest.iter().take_while(|byte| b"-+ #0".contains(byte)).count();
        if at > 5 {
            return Err("invalid format (repeated flags)");
        }
        at += digits(at);
        if rest.get(at) == Some(&b'.') {
            at += 1;
            at += digits(at);
        }
        if rest.get(at).is_some_and(u8::is_ascii_digit) {
            return Err("invalid format (width or precision too long)");
        }
        let mut modifiers = [0; 12];
        modifiers[..at].copy_from_slice(&rest[..at]);
        let letter = rest.get(at).copied().unwrap_or(0);
        *rest = rest.get(at + 1..).unwrap_or(&[]);
        Ok(Conversion { modifiers, modifiers_len: at, letter })
    }

    fn modifiers(&self) -> &[u8] {
        &self.modifiers[..self.modifiers_len]
    }

    /// The format for C, with a length before the letter.
    fn for_c(&self, length: &[u8]) -> [u8; 18] {
        let mut text = [0; 18];
        let parts = [b"%", self.modifiers(), length, &[self.letter]];
        let mut at = 0;
        for part in parts {
            text[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        text
    }

    /// Width, precision, and whether it is to stand on the left.
    fn layout(&self) -> (usize, Option<usize>, bool) {
        let is_left = self.modifiers().contains(&b'-');
        let flags = self.modifiers().iter().take_while(|byte| b"-+ #0".contains(byte)).count();
        let number = |text: &[u8]| text.iter().fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
        let sizes = &self.modifiers()[flags..];
        match memchr(b'.', sizes) {
            Some(point) => (number(&sizes[..point]), Some(number(&sizes[point + 1..])), is_left),
            None => (number(sizes), None, is_left),
        }
    }
}

/// An `unsigned long` from a number, as the machine makes it.
fn unsigned(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value >= HALF { integer(value - HALF) as u64 ^ 1 << 63 } else { integer(value) as u64 }
}

unsafe fn format_(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises: the buffer is the room's.
    unsafe {
        let form = check_string(l, 1);
        let count = lua_gettop(l);
        let room = room(l);
        let buffer = &mut *room.nesting.buffer();
        let mut work = Work::new(room);
        let mut rest = form;
        let mut argument = 1;
        while let Some(place) = memchr(b'%', rest) {
            if work.spend(place / 16 + 32).is_err() {
                return stop(l, room);
            }
            if append(room, buffer, &rest[..place]).is_err() {
                return no_memory_for(l, room, buffer);
            }
            rest = &rest[place + 1..];
            if rest.first() == Some(&b'%') {
                buffer.push(b'%');
                rest = &rest[1..];
                continue;
            }
            argument += 1;
            if argument > count {
                return bad_argument(l, argument, c"no value");
            }
            let conversion = match Conversion::parse(&mut rest) {
                Ok(conversion) => conversion,
                Err(text) => return fail(l, text),
            };
            if reserve(room, buffer, NUMBER_BYTES).is_err() {
                return no_memory_for(l, room, buffer);
            }
            match conversion.letter {
                b'c' => {
                    let value = integer(luaL_checknumber(l, argument)) as c_int;
                    print(buffer, |text| snprintf(text, NUMBER_BYTES, conversion.for_c(b"").as_ptr().cast(), value));
                    // It ends at a zero, as Lua has it.
                    if value as u8 == 0 {
                        let end = buffer.iter().rposition(|&byte| byte == 0).unwrap_or(buffer.len());
                        buffer.truncate(end);
                    }
                }
                b'd' | b'i' => {
                    let value = integer(luaL_checknumber(l, argument));
                    print(buffer, |text| snprintf(text, NUMBER_BYTES, conversion.for_c(b"l").as_ptr().cast(), value));
                }
                b'o' | b'u' | b'x' | b'X' => {
                    let value = unsigned(luaL_checknumber(l, argument));
                    print(buffer, |text| snprintf(text, NUMBER_BYTES, conversion.for_c(b"l").as_ptr().cast(), value));
                }
                b'e' | b'E' | b'f' | b'g' | b'G' => {
                    let value = luaL_checknumber(l, argument);
                    print(buffer, |text| snprintf(text, NUMBER_BYTES, conversion.for_c(b"").as_ptr().cast(), value));
                }
                b'q' => {
                    let text = check_string(l, argument);
                    buffer.push(b'"');
                    for piece in text.chunks(PIECE_BYTES) {
                        if work.spend(piece.len()).is_err() {
                            return stop(l, room);
                        }
                        if quote(room, buffer, piece).is_err() {
                            return no_memory_for(l, room, buffer);
                        }
                    }
                    if append(room, buffer, b"\"").is_err() {
                        return no_memory_for(l, room, buffer);
                    }
                }
                b's' => {
                    let text = check_string(l, argument);
                    if work.spend(text.len() / 16).is_err() {
                        return stop(l, room);
                    }
                    let (width, precision, is_left) = conversion.layout();
                    let text = match precision {
                        None if text.len() >= WHOLE_BYTES => text,
                        // A short one ends at its first zero: in Lua it is C that prints it.
                        _ => {
                            let text = &text[..memchr(0, text).unwrap_or(text.len())];
                            &text[..text.len().min(precision.unwrap_or(usize::MAX))]
                        }
                    };
                    if reserve(room, buffer, text.len() + width).is_err() {
                        return no_memory_for(l, room, buffer);
                    }
                    let padding = if text.len() >= WHOLE_BYTES { 0 } else { width.saturating_sub(text.len()) };
                    if !is_left {
                        buffer.resize(buffer.len() + padding, b' ');
                    }
                    buffer.extend_from_slice(text);
                    if is_left {
                        buffer.resize(buffer.len() + padding, b' ');
                    }
                }
                letter => {
                    let letter = [letter];
                    let letter = if letter == [0] { &[][..] } else { &letter };
                    luaL_where(l, 1);
                    push_bytes(l, b"invalid option '%");
                    push_bytes(l, letter);
                    push_bytes(l, b"' to 'format'");
                    lua_concat(l, 4);
                    return Then::Raise;
                }
            }
        }
        if work.spend(rest.len() / 16).is_err() {
            return stop(l, room);
        }
        if append(room, buffer, rest).is_err() {
            return no_memory_for(l, room, buffer);
        }
        push_buffer(l, room, buffer)
    }
}

/// Appends what C prints into at most [`NUMBER_BYTES`], for which there is space.
unsafe fn print(buffer: &mut Vec<u8>, write: impl FnOnce(*mut c_char) -> c_int) {
    let len = buffer.len();
    // SAFETY: the space was reserved; C says how much of it is written.
    unsafe {
        let written = write(buffer.as_mut_ptr().add(len).cast());
        buffer.set_len(len + usize::try_from(written).expect("a format that was checked").min(NUMBER_BYTES - 1));
    }
}

/// Appends a piece of a string as Lua source.
fn quote(room: &Room, buffer: &mut Vec<u8>, text: &[u8]) -> Result<(), NoMemory> {
    let mut from = 0;
    for (index, &byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\\n",
            b'\r' => b"\\r",
            0 => b"\\000",
            _ => continue,
        };
        append(room, buffer, &text[from..index])?;
        append(room, buffer, escaped)?;
        from = index + 1;
    }
    append(room, buffer, &text[from..])
}
