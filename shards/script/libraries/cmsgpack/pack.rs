//! Lua values to MessagePack.

use super::super::super::lua::*;
use super::super::super::room::Room;
use super::super::output::Output;
use super::super::trouble::Trouble;
use std::os::raw::c_int;

/// Tables below so many others are written as nil. It also bounds the recursion here.
const NESTING_MAX: usize = 16;
/// Slots that one level needs: a key, its copy, a value.
const LEVEL_SLOTS: c_int = 4;
/// Steps that a value costs beside its bytes.
const VALUE_STEPS: usize = 8;

/// `cmsgpack.pack`: the values one after the other.
pub(super) unsafe fn pack(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; values are reached through the stack, which keeps them.
    unsafe {
        let count = lua_gettop(l);
        if count == 0 {
            return Err(Trouble::argument(0, "MessagePack pack needs input."));
        }
        let mut output = Output::new(room);
        for index in 1..=count {
            if lua_checkstack(l, LEVEL_SLOTS) == 0 {
                return Err(Trouble::text("stack overflow (in function mp_check)"));
            }
            lua_pushvalue(l, index);
            write(l, &mut output, 0)?;
        }
        output.finish(l)
    }
}

/// Writes the value on top and pops it.
unsafe fn write(l: *mut lua_State, output: &mut Output, level: usize) -> Result<(), Trouble> {
    output.spend(VALUE_STEPS)?;
    // SAFETY: as in `pack`.
    unsafe {
        match lua_type(l, -1) {
            LUA_TSTRING => write_string(output, string_at(l, -1))?,
            LUA_TBOOLEAN => output.byte(if lua_toboolean(l, -1) != 0 { 0xc3 } else { 0xc2 })?,
            LUA_TNUMBER => write_number(output, lua_tonumber(l, -1))?,
            LUA_TTABLE if level < NESTING_MAX => write_table(l, output, level)?,
            _ => output.byte(0xc0)?,
        }
        lua_pop(l, 1);
    }
    Ok(())
}

/// A table is an array if its keys are 1 to their number.
unsafe fn write_table(l: *mut lua_State, output: &mut Output, level: usize) -> Result<(), Trouble> {
    // SAFETY: as in `pack`; the table on top stays there.
    unsafe {
        if lua_checkstack(l, LEVEL_SLOTS) == 0 {
            return Err(Trouble::text("stack overflow (in function mp_encode_lua_table)"));
        }
        let mut count = 0_usize;
        let mut largest = 0.0_f64;
        let mut is_array = true;
        lua_pushnil(l);
        while lua_next(l, -2) != 0 {
            output.spend(VALUE_STEPS)?;
            lua_pop(l, 1);
            count += 1;
            if is_array {
                let key = if lua_type(l, -1) == LUA_TNUMBER { lua_tonumber(l, -1) } else { 0.0 };
                is_array = key > 0.0 && key.fract() == 0.0;
                largest = largest.max(key);
            }
        }
        if is_array && largest == count as f64 {
            write_header(output, count, 0x90, [0xdc, 0xdd])?;
            for index in 1..=count {
                lua_rawgeti_(l, -1, index as c_int);
                write(l, output, level + 1)?;
            }
            return Ok(());
        }
        write_header(output, count, 0x80, [0xde, 0xdf])?;
        lua_pushnil(l);
        while lua_next(l, -2) != 0 {
            lua_pushvalue(l, -2);
            write(l, output, level + 1)?;
            write(l, output, level + 1)?;
        }
    }
    Ok(())
}

/// The length of a table: in the type's own byte, or in two or four more.
fn write_header(output: &mut Output, count: usize, short: u8, long: [u8; 2]) -> Result<(), Trouble> {
    if count < 16 {
        output.byte(short | count as u8)
    } else if let Ok(count) = u16::try_from(count) {
        tagged(output, long[0], &count.to_be_bytes())
    } else {
        let count = u32::try_from(count).expect("a table has less entries than its memory has bytes");
        tagged(output, long[1], &count.to_be_bytes())
    }
}

fn write_string(output: &mut Output, text: &[u8]) -> Result<(), Trouble> {
    let len = text.len();
    if len < 32 {
        output.byte(0xa0 | len as u8)?;
    } else if let Ok(len) = u8::try_from(len) {
        tagged(output, 0xd9, &[len])?;
    } else if let Ok(len) = u16::try_from(len) {
        tagged(output, 0xda, &len.to_be_bytes())?;
    } else {
        let len = u32::try_from(len).expect("Lua strings are shorter than two gigabytes");
        tagged(output, 0xdb, &len.to_be_bytes())?;
    }
    output.push(text)
}

/// Whole numbers of 64 bits in the fewest bytes; others as floats where nothing is lost, else as doubles.
fn write_number(output: &mut Output, value: f64) -> Result<(), Trouble> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&value) && value.fract() == 0.0 {
        return write_integer(output, value as i64);
    }
    let float = value as f32;
    if f64::from(float) == value {
        tagged(output, 0xca, &float.to_be_bytes())
    } else {
        tagged(output, 0xcb, &value.to_be_bytes())
    }
}

fn write_integer(output: &mut Output, value: i64) -> Result<(), Trouble> {
    match value {
        -32..=127 => output.byte(value as u8),
        128..=0xff => tagged(output, 0xcc, &[value as u8]),
        0x100..=0xffff => tagged(output, 0xcd, &(value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => tagged(output, 0xce, &(value as u32).to_be_bytes()),
        0x1_0000_0000.. => tagged(output, 0xcf, &value.to_be_bytes()),
        -0x80..=-33 => tagged(output, 0xd0, &(value as i8).to_be_bytes()),
        -0x8000..=-0x81 => tagged(output, 0xd1, &(value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => tagged(output, 0xd2, &(value as i32).to_be_bytes()),
        ..=-0x8000_0001 => tagged(output, 0xd3, &value.to_be_bytes()),
    }
}

fn tagged(output: &mut Output, tag: u8, bytes: &[u8]) -> Result<(), Trouble> {
    output.byte(tag)?;
    output.push(bytes)
}
