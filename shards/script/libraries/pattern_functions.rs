//! `string.find`, `match`, `gmatch` and `gsub`.

use super::pattern::{Capture, Ended, Pattern};
use super::values::{
    NoMemory, append, bad_argument, check_integer, check_string, fail, fail_bare, no_memory, no_memory_for,
    optional_integer, push_buffer,
};
use crate::script::lua::*;
use crate::script::nesting::CALLED_MAX;
use crate::script::room::{Room, room};
use crate::script::shell::{Then, functions, stop};
use crate::script::work::{Stopped, Work};
use memchr::{memchr, memmem};
use std::os::raw::c_int;

functions! {
    string_find => find;
    string_match => match_;
    string_gsub => gsub;
    string_next_match => step;
    string_check_texts => check_texts;
    string_is_plain => examine;
}

/// Characters that mean something in a pattern, as far as a plain search is concerned.
const SPECIALS: [u8; 9] = *b"^$*+?.([%";

/// Texts up to this length are searched at once.
const SHORT_BYTES: usize = 512;

/// Longer ones in pieces.
const PIECE_BYTES: usize = 64 << 10;

unsafe fn find(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { search(l, true) }
}

unsafe fn match_(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { search(l, false) }
}

/// Has a pattern no special characters? Lua looks no further than its first zero.
fn is_plain(pattern: &[u8]) -> bool {
    for &byte in pattern {
        if byte == 0 {
            break;
        }
        if SPECIALS.contains(&byte) || byte == b'-' {
            return false;
        }
    }
    true
}

/// The same for the sandbox, which remembers it.
unsafe fn examine(l: *mut lua_State) -> Then {
    // SAFETY: as in `search`.
    unsafe {
        let pattern = check_string(l, 1);
        lua_pushboolean(l, is_plain(pattern).into());
    }
    Then::Return(1)
}

/// What the outcome of a match means to the function that asked.
macro_rules! or_leave {
    ($l:expr, $room:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(Ended::Stopped) => return stop($l, $room),
            Err(Ended::Fault(fault)) => return fail($l, fault.text()),
        }
    };
}

/// `find` and `match`.
#[inline(always)]
unsafe fn search(l: *mut lua_State, is_find: bool) -> Then {
    // SAFETY: nothing is owned when something here raises; the arguments stay on the stack.
    unsafe {
        let text = check_string(l, 1);
        let pattern = check_string(l, 2);
        let start = match optional_integer(l, 3, 1) {
            start if start > 0 => (start as u64 - 1).min(text.len() as u64) as usize,
            0 => 0,
            start => text.len().saturating_add_signed(start as isize),
        };
        let room = room(l);
        let mut work = Work::new(room);
        if is_find && (lua_toboolean(l, 4) != 0 || is_plain(pattern)) {
            return match find_plain(&mut work, text, pattern, start) {
                Ok(Some(place)) => {
                    lua_pushnumber(l, (place + 1) as f64);
                    lua_pushnumber(l, (place + pattern.len()) as f64);
                    Then::Return(2)
                }
                Ok(None) => {
                    lua_pushnil(l);
                    Then::Return(1)
                }
                Err(Stopped) => stop(l, room),
            };
        }
        let (source, only_there) = anchored(pattern);
        if is_too_long(room, source) {
            return no_memory(l, room);
        }
        let patterns = room.patterns();
        let compiled = or_leave!(l, room, patterns.of(source, &mut work).map_err(Ended::from));
        let found = or_leave!(l, room, compiled.find(&mut work, text, start, only_there));
        let then = match found {
            Some((start, end)) => {
                let mut count = 0;
                if is_find {
                    lua_pushnumber(l, (start + 1) as f64);
                    lua_pushnumber(l, end as f64);
                    count = 2;
                }
                let whole = (!is_find).then_some((start, end));
                match push_captures(l, compiled, text, whole) {
                    Ok(more) => Then::Return(count + more),
                    Err(text) => fail(l, text),
                }
            }
            None => {
                lua_pushnil(l);
                Then::Return(1)
            }
        };
        patterns.forget_long();
        then
    }
}

/// A pattern without its anchor, and whether it had one.
fn anchored(pattern: &[u8]) -> (&[u8], bool) {
    match pattern {
        [b'^', rest @ ..] => (rest, true),
        _ => (pattern, false),
    }
}

/// Would the compiled form of a pattern pass the memory limit? A character takes less than this many bytes.
fn is_too_long(room: &Room, pattern: &[u8]) -> bool {
    pattern.len() > 4096 && room.memory.exceeds(pattern.len() * 32)
}

fn find_plain(work: &mut Work<'_>, text: &[u8], wanted: &[u8], start: usize) -> Result<Option<usize>, Stopped> {
    let Some((&first, others)) = wanted.split_first() else {
        return Ok(Some(start));
    };
    if text.len() - start <= SHORT_BYTES || wanted.len() > PIECE_BYTES / 2 {
        let mut at = start;
        while text.len() - at >= wanted.len() {
            let piece = &text[at..(text.len() - others.len()).min(at + PIECE_BYTES)];
            let place = memchr(first, piece);
            work.spend(place.unwrap_or(piece.len()) / 16 + 1)?;
            let Some(place) = place else {
                at += piece.len();
                continue;
            };
            at += place;
            if is_equal(work, &text[at + 1..at + wanted.len()], others)? {
                return Ok(Some(at));
            }
            at += 1;
        }
        return Ok(None);
    }
    let finder = memmem::Finder::new(wanted);
    let mut at = start;
    while text.len() - at >= wanted.len() {
        let piece = &text[at..text.len().min(at + PIECE_BYTES + others.len())];
        let place = finder.find(piece);
        work.spend(place.unwrap_or(piece.len()) / 4)?;
        if let Some(place) = place {
            return Ok(Some(at + place));
        }
        at += piece.len() - others.len();
    }
    Ok(None)
}

/// Compares texts of the same length.
#[inline(always)]
fn is_equal(work: &mut Work<'_>, one: &[u8], other: &[u8]) -> Result<bool, Stopped> {
    for (one, other) in one.chunks(4096).zip(other.chunks(4096)) {
        work.spend(one.len() / 16)?;
        if one != other {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pushes one capture.
#[inline(always)]
unsafe fn push_capture(
    l: *mut lua_State,
    pattern: &Pattern,
    text: &[u8],
    index: usize,
    whole: (usize, usize),
) -> Result<(), &'static str> {
    // SAFETY: there is a free slot.
    unsafe {
        if index >= pattern.level() {
            if index != 0 {
                return Err("invalid capture index");
            }
            push_bytes(l, &text[whole.0..whole.1]);
            return Ok(());
        }
        match pattern.capture(index) {
            Capture::Unfinished => return Err("unfinished capture"),
            Capture::Position(place) => lua_pushnumber(l, (place + 1) as f64),
            Capture::Range(start, end) => push_bytes(l, &text[start..end]),
        }
    }
    Ok(())
}

/// Pushes all captures; without any, the whole match if that is wanted. Answers how many.
#[inline(always)]
unsafe fn push_captures(
    l: *mut lua_State,
    pattern: &Pattern,
    text: &[u8],
    whole: Option<(usize, usize)>,
) -> Result<c_int, &'static str> {
    let level = pattern.level();
    let count = if level == 0 && whole.is_some() { 1 } else { level };
    // SAFETY: room is made for more than there may be.
    unsafe {
        if count > 10 {
            luaL_checkstack_(l, count as c_int, c"too many captures".as_ptr());
        }
        for index in 0..count {
            push_capture(l, pattern, text, index, whole.unwrap_or_default())?;
        }
    }
    Ok(count as c_int)
}

/// The arguments of `gmatch`, if they are none: this raises. Of numbers it makes texts.
unsafe fn check_texts(l: *mut lua_State) -> Then {
    // SAFETY: as in `search`.
    unsafe {
        check_string(l, 1);
        check_string(l, 2);
        lua_settop(l, 2);
    }
    Then::Return(2)
}

/// The next match of `gmatch`, of which the sandbox makes an iterator: of the text, the pattern, and a table with the place to go on from.
unsafe fn step(l: *mut lua_State) -> Then {
    // SAFETY: as in `search`; the sandbox gives what it should.
    unsafe {
        let text = string_at(l, 1);
        let source = string_at(l, 2);
        lua_rawgeti_(l, 3, 1);
        let start = lua_tonumber(l, -1) as usize;
        let room = room(l);
        let mut work = Work::new(room);
        if is_too_long(room, source) {
            return no_memory(l, room);
        }
        let patterns = room.patterns();
        let compiled = or_leave!(l, room, patterns.of(source, &mut work).map_err(Ended::from));
        let found = or_leave!(l, room, compiled.find(&mut work, text, start, false));
        let then = match found {
            Some((start, end)) => {
                lua_pushnumber(l, (end + usize::from(end == start)) as f64);
                lua_rawseti_(l, 3, 1);
                match push_captures(l, compiled, text, Some((start, end))) {
                    Ok(count) => Then::Return(count),
                    Err(text) => fail(l, text),
                }
            }
            None => Then::Return(0),
        };
        patterns.forget_long();
        then
    }
}

/// Why a replacement could not be made.
enum Refusal {
    Stopped,
    Memory,
    Fault(&'static str),
}

impl From<NoMemory> for Refusal {
    fn from(_: NoMemory) -> Self {
        Refusal::Memory
    }
}

impl From<Stopped> for Refusal {
    fn from(_: Stopped) -> Self {
        Refusal::Stopped
    }
}

unsafe fn gsub(l: *mut lua_State) -> Then {
    // SAFETY: as in `search`. The buffer is the room's, the compiled pattern is asked for again after each callback.
    unsafe {
        let text = check_string(l, 1);
        let source = check_string(l, 2);
        let (source, is_anchored) = anchored(source);
        let kind = lua_type(l, 3);
        let count_max = match lua_type(l, 4) {
            LUA_TNONE | LUA_TNIL => i64::MAX,
            // An `int`: what does not fit is cut off.
            _ => i64::from(check_integer(l, 4) as i32),
        };
        if !matches!(kind, LUA_TNUMBER | LUA_TSTRING | LUA_TTABLE | LUA_TFUNCTION) {
            return bad_argument(l, 3, c"string/function/table expected");
        }
        let room = room(l);
        let buffer = room.nesting.buffer();
        let replacement = match kind {
            LUA_TNUMBER | LUA_TSTRING => string_at(l, 3),
            _ => {
                if !room.nesting.enter(CALLED_MAX) {
                    return fail_bare(l, "C stack overflow");
                }
                &[]
            }
        };
        let is_literal = memchr(b'%', replacement).is_none();
        if is_too_long(room, source) {
            return no_memory(l, room);
        }
        let mut work = Work::new(room);
        let mut at = 0;
        let mut copied = 0;
        let mut count = 0;
        while count < count_max {
            let compiled = or_leave!(l, room, room.patterns().of(source, &mut work).map_err(Ended::from));
            let Some((start, end)) = or_leave!(l, room, compiled.find(&mut work, text, at, is_anchored)) else {
                break;
            };
            count += 1;
            let added = add_text(room, &mut work, &mut *buffer, &text[copied..start]);
            let added = match (added, kind) {
                (Err(refusal), _) => Err(refusal),
                (_, LUA_TNUMBER | LUA_TSTRING) if is_literal => add_text(room, &mut work, &mut *buffer, replacement),
                (_, LUA_TNUMBER | LUA_TSTRING) => {
                    expand(l, room, &mut work, compiled, &mut *buffer, text, replacement, (start, end))
                }
                _ => {
                    let pushed = if kind == LUA_TTABLE {
                        push_capture(l, compiled, text, 0, (start, end))
                    } else {
                        lua_pushvalue(l, 3);
                        push_captures(l, compiled, text, Some((start, end))).map(|captures| lua_call(l, captures, 1))
                    };
                    if let Err(text) = pushed {
                        return fail(l, text);
                    }
                    if kind == LUA_TTABLE {
                        lua_gettable_(l, 3);
                    }
                    let added = match lua_type(l, -1) {
                        LUA_TSTRING | LUA_TNUMBER => add_text(room, &mut work, &mut *buffer, string_at(l, -1)),
                        LUA_TNIL => add_text(room, &mut work, &mut *buffer, &text[start..end]),
                        LUA_TBOOLEAN if lua_toboolean(l, -1) == 0 => {
                            add_text(room, &mut work, &mut *buffer, &text[start..end])
                        }
                        kind => {
                            luaL_where(l, 1);
                            lua_pushfstring(l, c"invalid replacement value (a %s)".as_ptr(), lua_typename(l, kind));
                            lua_concat(l, 2);
                            return Then::Raise;
                        }
                    };
                    lua_settop(l, -2);
                    added
                }
            };
            match added {
                Ok(()) => {}
                Err(Refusal::Stopped) => return stop(l, room),
                Err(Refusal::Memory) => return no_memory_for(l, room, &mut *buffer),
                Err(Refusal::Fault(text)) => return fail(l, text),
            }
            copied = end;
            // After an empty match one byte is passed over; it stays as it is.
            at = end + usize::from(end == start);
            if at > text.len() || is_anchored {
                break;
            }
        }
        room.patterns().forget_long();
        if count == 0 {
            lua_settop(l, 1);
        } else {
            match add_text(room, &mut work, &mut *buffer, &text[copied..]) {
                Ok(()) => {}
                Err(Refusal::Stopped) => return stop(l, room),
                Err(_) => return no_memory_for(l, room, &mut *buffer),
            }
            if let Then::Raise = push_buffer(l, room, &mut *buffer) {
                return Then::Raise;
            }
        }
        lua_pushnumber(l, count as f64);
    }
    Then::Return(2)
}

/// Appends a piece of text.
#[inline(always)]
fn add_text(room: &Room, work: &mut Work<'_>, buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Refusal> {
    work.spend(bytes.len() / 16)?;
    Ok(append(room, buffer, bytes)?)
}

/// Appends a replacement text with captures in it.
#[expect(clippy::too_many_arguments, reason = "all of what gsub is about")]
unsafe fn expand(
    l: *mut lua_State,
    room: &Room,
    work: &mut Work<'_>,
    pattern: &Pattern,
    buffer: &mut Vec<u8>,
    text: &[u8],
    replacement: &[u8],
    whole: (usize, usize),
) -> Result<(), Refusal> {
    let mut rest = replacement;
    while let Some(place) = memchr(b'%', rest) {
        add_text(room, work, buffer, &rest[..place])?;
        // A text that ends with a percent sign is followed by a zero, as everywhere in Lua.
        let letter = rest.get(place + 1).copied().unwrap_or(0);
        rest = rest.get(place + 2..).unwrap_or(&[]);
        match letter {
            b'0' => add_text(room, work, buffer, &text[whole.0..whole.1])?,
            b'1'..=b'9' => match usize::from(letter - b'1') {
                index if index >= pattern.level() && index > 0 => return Err(Refusal::Fault("invalid capture index")),
                index if index >= pattern.level() => add_text(room, work, buffer, &text[whole.0..whole.1])?,
                index => match pattern.capture(index) {
                    Capture::Unfinished => return Err(Refusal::Fault("unfinished capture")),
                    Capture::Range(start, end) => add_text(room, work, buffer, &text[start..end])?,
                    Capture::Position(place) => {
                        // SAFETY: there is a free slot, and the text stays there until it is copied.
                        unsafe {
                            lua_pushnumber(l, (place + 1) as f64);
                            add_text(room, work, buffer, string_at(l, -1))?;
                            lua_settop(l, -2);
                        }
                    }
                },
            },
            letter => append(room, buffer, &[letter])?,
        }
    }
    add_text(room, work, buffer, rest)
}
