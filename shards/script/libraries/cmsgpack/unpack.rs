//! MessagePack to Lua values.

use super::super::super::lua::*;
use super::super::super::room::Room;
use super::super::super::work::Work;
use super::super::arguments::{integer, integer_or, string};
use super::super::growth::check_entry;
use super::super::trouble::Trouble;
use std::os::raw::c_int;

const MISSING: &str = "Missing bytes in input.";
const BAD: &str = "Bad data format in input.";
/// Steps that a value costs beside its bytes.
const VALUE_STEPS: usize = 16;

/// `cmsgpack.unpack`: all values.
pub(super) unsafe fn unpack(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe { unpack_range(l, room, 0, 0) }
}

/// `cmsgpack.unpack_one`: where the next value starts, and the one at an offset.
pub(super) unsafe fn unpack_one(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        let offset = integer_or(l, 2, 0)?;
        lua_settop(l, lua_gettop(l).min(1));
        unpack_range(l, room, 1, offset)
    }
}

/// `cmsgpack.unpack_limit`: where the next value starts, and so many values from an offset on.
pub(super) unsafe fn unpack_limit(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        let limit = integer(l, 2)?;
        let offset = integer_or(l, 3, 0)?;
        lua_settop(l, lua_gettop(l).min(1));
        unpack_range(l, room, limit, offset)
    }
}

unsafe fn unpack_range(l: *mut lua_State, room: &Room, limit: i64, offset: i64) -> Result<c_int, Trouble> {
    // SAFETY: the limit of memory is lifted; the input stays on the stack; each value has its slot.
    unsafe {
        let input = string(l, 1)?;
        if offset < 0 || limit < 0 {
            let text = format!(
                "Invalid request to unpack with offset of {} and limit of {}.",
                offset as i32,
                input.len() as i32
            );
            return Err(Trouble::text(text));
        }
        let Some(rest) = usize::try_from(offset).ok().and_then(|offset| input.get(offset..)) else {
            let text = format!("Start offset {} greater than input length {}.", offset as i32, input.len() as i32);
            return Err(Trouble::text(text));
        };
        let is_everything = limit == 0 && offset == 0;
        let limit = if is_everything { i64::MAX } else { limit };
        let mut reader = Reader { l, room, rest, frames: Vec::new(), work: Work::new(room) };
        let before = lua_gettop(l);
        let mut count = 0;
        while !reader.rest.is_empty() && i64::from(count) < limit {
            reader.value()?;
            count += 1;
        }
        if !is_everything {
            if lua_checkstack(l, 1) == 0 {
                return Err(Trouble::text("stack overflow (in function mp_unpack_full)"));
            }
            let next = if reader.rest.is_empty() { -1.0 } else { (input.len() - reader.rest.len()) as f64 };
            lua_pushnumber(l, next);
            lua_insert(l, before + 1);
            count += 1;
        }
        Ok(count)
    }
}

/// A table whose entries are still coming; it is on the stack.
enum Frame {
    /// Above the table lies the number of the element that is read.
    Array { next: usize, len: usize },
    /// Above the table lies the key, once it is read.
    Map { entries: usize, pairs: usize, key_is_there: bool },
}

/// Nested tables take slots of the Lua stack and frames here, no recursion: the Lua stack bounds both.
struct Reader<'a> {
    l: *mut lua_State,
    room: &'a Room,
    rest: &'a [u8],
    frames: Vec<Frame>,
    work: Work<'a>,
}

impl Reader<'_> {
    /// Pushes one value.
    unsafe fn value(&mut self) -> Result<(), Trouble> {
        // SAFETY: passed on.
        unsafe {
            self.item()?;
            while let Some(frame) = self.frames.last_mut() {
                let is_full = match frame {
                    Frame::Array { next, len } => next > len,
                    Frame::Map { entries, pairs, .. } => entries == pairs,
                };
                if is_full {
                    self.frames.pop();
                    if self.frames.is_empty() {
                        break;
                    }
                    self.settle()?;
                    continue;
                }
                if let Frame::Array { next, .. } = frame {
                    lua_pushnumber(self.l, *next as f64);
                }
                let depth = self.frames.len();
                self.item()?;
                if self.frames.len() == depth {
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    /// Puts the value on top into the table that waits for it.
    unsafe fn settle(&mut self) -> Result<(), Trouble> {
        let l = self.l;
        let frame = self.frames.last_mut().expect("a table waits");
        // SAFETY: the frames mirror what lies on the stack; the tables are ours, keys that cannot be are refused.
        unsafe {
            match frame {
                Frame::Array { next, .. } => {
                    check_entry(self.room, *next)?;
                    *next += 1;
                    lua_rawset(l, -3);
                }
                Frame::Map { key_is_there: key_is_there @ false, .. } => *key_is_there = true,
                Frame::Map { entries, key_is_there, .. } => {
                    match lua_type(l, -2) {
                        LUA_TNIL => return Err(Trouble::Bare("table index is nil")),
                        LUA_TNUMBER if lua_tonumber(l, -2).is_nan() => {
                            return Err(Trouble::Bare("table index is NaN"));
                        }
                        _ => {}
                    }
                    check_entry(self.room, *entries)?;
                    *entries += 1;
                    *key_is_there = false;
                    lua_rawset(l, -3);
                }
            }
        }
        Ok(())
    }

    /// Pushes a simple value, or a new table with its frame.
    unsafe fn item(&mut self) -> Result<(), Trouble> {
        self.work.spend(VALUE_STEPS)?;
        let l = self.l;
        // SAFETY: the check makes the slot that each arm takes.
        unsafe {
            if lua_checkstack(l, 1) == 0 {
                let hint = "too many return values at once; use unpack_one or unpack_limit instead.";
                return Err(Trouble::text(format!("stack overflow ({hint})")));
            }
            let [tag] = self.take()?;
            match tag {
                0x00..=0x7f => lua_pushnumber(l, tag.into()),
                0xe0..=0xff => lua_pushnumber(l, (tag as i8).into()),
                0x80..=0x8f => self.map((tag & 15).into())?,
                0x90..=0x9f => self.array((tag & 15).into())?,
                0xa0..=0xbf => self.string((tag & 31).into())?,
                0xc0 => lua_pushnil(l),
                0xc2 | 0xc3 => lua_pushboolean(l, (tag & 1).into()),
                0xca => lua_pushnumber(l, f32::from_be_bytes(self.take()?).into()),
                0xcb => lua_pushnumber(l, f64::from_be_bytes(self.take()?)),
                0xcc => lua_pushnumber(l, u8::from_be_bytes(self.take()?).into()),
                0xcd => lua_pushnumber(l, u16::from_be_bytes(self.take()?).into()),
                0xce => lua_pushnumber(l, u32::from_be_bytes(self.take()?).into()),
                // Unsigned ones too come back signed.
                0xcf | 0xd3 => lua_pushnumber(l, i64::from_be_bytes(self.take()?) as f64),
                0xd0 => lua_pushnumber(l, i8::from_be_bytes(self.take()?).into()),
                0xd1 => lua_pushnumber(l, i16::from_be_bytes(self.take()?).into()),
                0xd2 => lua_pushnumber(l, i32::from_be_bytes(self.take()?).into()),
                0xd9 => {
                    let [len] = self.take()?;
                    self.string(len.into())?;
                }
                0xda => {
                    let len = u16::from_be_bytes(self.take()?);
                    self.string(len.into())?;
                }
                0xdb => {
                    let len = u32::from_be_bytes(self.take()?);
                    self.string(len as usize)?;
                }
                0xdc => {
                    let len = u16::from_be_bytes(self.take()?);
                    self.array(len.into())?;
                }
                0xdd => {
                    let len = u32::from_be_bytes(self.take()?);
                    self.array(len as usize)?;
                }
                0xde => {
                    let pairs = u16::from_be_bytes(self.take()?);
                    self.map(pairs.into())?;
                }
                0xdf => {
                    let pairs = u32::from_be_bytes(self.take()?);
                    self.map(pairs as usize)?;
                }
                0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => return Err(Trouble::text(BAD)),
            }
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| Trouble::text(MISSING))?;
        self.rest = rest;
        Ok(*bytes)
    }

    unsafe fn string(&mut self, len: usize) -> Result<(), Trouble> {
        let (text, rest) = self.rest.split_at_checked(len).ok_or_else(|| Trouble::text(MISSING))?;
        if self.room.memory.exceeds(len) {
            return Err(Trouble::Memory);
        }
        self.work.spend(len / 8)?;
        self.rest = rest;
        // SAFETY: `item` has made a slot.
        unsafe { push_bytes(self.l, text) };
        Ok(())
    }

    /// What a header promises is not believed: the table grows with what comes.
    unsafe fn array(&mut self, len: usize) -> Result<(), Trouble> {
        // SAFETY: `item` has made a slot for the table.
        unsafe {
            self.table()?;
            if lua_checkstack(self.l, 1) == 0 {
                return Err(Trouble::text("stack overflow (in function mp_decode_to_lua_array)"));
            }
        }
        self.frames.push(Frame::Array { next: 1, len });
        Ok(())
    }

    unsafe fn map(&mut self, pairs: usize) -> Result<(), Trouble> {
        // SAFETY: `item` has made a slot for the table.
        unsafe { self.table()? };
        self.frames.push(Frame::Map { entries: 0, pairs, key_is_there: false });
        Ok(())
    }

    unsafe fn table(&mut self) -> Result<(), Trouble> {
        check_entry(self.room, 0)?;
        // SAFETY: `item` has made a slot.
        unsafe { lua_createtable(self.l, 0, 0) };
        Ok(())
    }
}
