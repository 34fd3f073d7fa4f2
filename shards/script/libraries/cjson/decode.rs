//! JSON to Lua values.

use super::super::super::lua::*;
use super::super::super::room::Room;
use super::super::arguments::string;
use super::super::growth::check_entry;
use super::super::trouble::Trouble;
use super::options_of;
use super::scan::{Scanner, Token};
use std::os::raw::c_int;

/// `cjson.decode`.
pub(super) unsafe fn decode(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; the text stays on the stack.
    unsafe {
        if lua_gettop(l) != 1 {
            return Err(Trouble::argument(1, "expected 1 argument"));
        }
        let text = string(l, 1)?;
        if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
            return Err(Trouble::text("JSON parser does not support UTF-16 or UTF-32"));
        }
        let options = options_of(l, room).get();
        let scanner = Scanner::new(text, options.decodes_invalid, room);
        let depth_max = options.decode_depth_max as usize;
        Decoder { l, room, scanner, depth_max, frames: Vec::new() }.run()?;
    }
    Ok(1)
}

/// A table whose entries are still coming; it is on the stack.
enum Frame {
    Array {
        next: usize,
    },
    /// Above the table lies the key.
    Object {
        entries: usize,
    },
}

/// Nested tables take slots of the Lua stack and frames here, no recursion: the Lua stack bounds both.
struct Decoder<'a> {
    l: *mut lua_State,
    room: &'a Room,
    scanner: Scanner<'a>,
    depth_max: usize,
    frames: Vec<Frame>,
}

impl Decoder<'_> {
    /// Pushes the value of the whole text.
    unsafe fn run(&mut self) -> Result<(), Trouble> {
        // SAFETY: the frames mirror what lies on the stack; each table has made sure of its slots.
        unsafe {
            let mut token = self.scanner.next()?;
            loop {
                let mut next = if self.begin(token)? { self.first()? } else { None };
                token = loop {
                    match next {
                        Some(token) => break token,
                        None if self.frames.is_empty() => return self.end(),
                        None => next = self.settle()?,
                    }
                };
            }
        }
    }

    fn end(&mut self) -> Result<(), Trouble> {
        match self.scanner.next()? {
            Token::End => Ok(()),
            token => Err(self.unexpected("the end", token)),
        }
    }

    /// Pushes the value that a token is, or begins; true if it is a table that has just been opened.
    unsafe fn begin(&mut self, token: Token) -> Result<bool, Trouble> {
        let l = self.l;
        // SAFETY: the table around has made a slot, and a function has some.
        unsafe {
            match token {
                Token::String(_) => self.push_string(token)?,
                Token::Number(value) => lua_pushnumber(l, value),
                Token::Boolean(value) => lua_pushboolean(l, value.into()),
                Token::Null => lua_pushlightuserdata(l, std::ptr::null_mut()),
                Token::ArrayBegin => {
                    self.open(2)?;
                    self.frames.push(Frame::Array { next: 1 });
                    return Ok(true);
                }
                Token::ObjectBegin => {
                    self.open(3)?;
                    self.frames.push(Frame::Object { entries: 0 });
                    return Ok(true);
                }
                _ => return Err(self.unexpected("value", token)),
            }
        }
        Ok(false)
    }

    /// Pushes a new table that needs so many slots with what comes above it.
    unsafe fn open(&mut self, slots: c_int) -> Result<(), Trouble> {
        let depth = self.frames.len() + 1;
        // SAFETY: the check makes the slots.
        unsafe {
            if depth > self.depth_max || lua_checkstack(self.l, slots) == 0 {
                let place = self.scanner.at();
                let text = format!("Found too many nested data structures ({depth}) at character {place}");
                return Err(Trouble::text(text));
            }
            check_entry(self.room, 0)?;
            lua_createtable(self.l, 0, 0);
        }
        Ok(())
    }

    /// The first token in the table that has just been opened; `None` if it is empty, and complete.
    unsafe fn first(&mut self) -> Result<Option<Token>, Trouble> {
        let token = self.scanner.next()?;
        match (self.frames.last().expect("a table is open"), token) {
            (Frame::Array { .. }, Token::ArrayEnd) | (Frame::Object { .. }, Token::ObjectEnd) => {
                self.frames.pop();
                Ok(None)
            }
            (Frame::Array { .. }, _) => Ok(Some(token)),
            // SAFETY: as in `run`.
            (Frame::Object { .. }, _) => unsafe { self.key(token).map(Some) },
        }
    }

    /// Puts the value on top into its table, and goes on to the next value's token; `None` if the table is complete with it.
    unsafe fn settle(&mut self) -> Result<Option<Token>, Trouble> {
        let l = self.l;
        // SAFETY: as in `run`; the tables are ours, keys are strings.
        unsafe {
            match self.frames.last_mut().expect("a table is open") {
                Frame::Array { next } => {
                    check_entry(self.room, *next)?;
                    lua_rawseti_(l, -2, *next as c_int);
                    *next += 1;
                    match self.scanner.next()? {
                        Token::ArrayEnd => {
                            self.frames.pop();
                            Ok(None)
                        }
                        Token::Comma => self.scanner.next().map(Some),
                        token => Err(self.unexpected("comma or array end", token)),
                    }
                }
                Frame::Object { entries } => {
                    check_entry(self.room, *entries)?;
                    *entries += 1;
                    lua_rawset(l, -3);
                    match self.scanner.next()? {
                        Token::ObjectEnd => {
                            self.frames.pop();
                            Ok(None)
                        }
                        Token::Comma => {
                            let token = self.scanner.next()?;
                            self.key(token).map(Some)
                        }
                        token => Err(self.unexpected("comma or object end", token)),
                    }
                }
            }
        }
    }

    /// Pushes a key, and goes on to its value's token.
    unsafe fn key(&mut self, token: Token) -> Result<Token, Trouble> {
        if !matches!(token, Token::String(_)) {
            return Err(self.unexpected("object key string", token));
        }
        // SAFETY: `open` has made a slot.
        unsafe { self.push_string(token)? };
        match self.scanner.next()? {
            Token::Colon => self.scanner.next(),
            token => Err(self.unexpected("colon", token)),
        }
    }

    unsafe fn push_string(&mut self, token: Token) -> Result<(), Trouble> {
        let Token::String(place) = token else { unreachable!("the callers have looked") };
        let bytes = self.scanner.string(place);
        if self.room.memory.exceeds(bytes.len()) {
            return Err(Trouble::Memory);
        }
        // SAFETY: a slot is free.
        unsafe { push_bytes(self.l, bytes) };
        Ok(())
    }

    #[cold]
    fn unexpected(&self, wanted: &str, token: Token) -> Trouble {
        let place = self.scanner.token_at() + 1;
        Trouble::text(format!("Expected {wanted} but found {} at character {place}", token.name()))
    }
}
