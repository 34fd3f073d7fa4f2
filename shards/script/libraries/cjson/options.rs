//! What scripts can choose about JSON.

use super::super::super::lua::*;
use super::super::super::room::Room;
use super::super::arguments::{integer, string};
use super::super::trouble::Trouble;
use super::options_of;
use std::os::raw::c_int;

/// What becomes of infinities and of what is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InvalidNumbers {
    Refused,
    Written,
    Null,
}

/// See the functions below. In Redis a choice lasts as long as the interpreter; here it ends with the run that made it.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) struct JsonOptions {
    pub(super) converts_sparse: bool,
    pub(super) sparse_ratio: i32,
    pub(super) sparse_safe: i32,
    pub(super) encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    pub(super) precision: i32,
    keeps_buffer: bool,
    pub(super) encode_invalid: InvalidNumbers,
    pub(super) decodes_invalid: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        JsonOptions {
            converts_sparse: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            precision: 14,
            keeps_buffer: true,
            encode_invalid: InvalidNumbers::Refused,
            decodes_invalid: true,
        }
    }
}

/// How arrays with holes are written: beyond `safe` elements and more than `ratio` times those that are there, as objects or not at all.
pub(super) unsafe fn encode_sparse_array(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 3)?;
        flag(l, room, |options| &mut options.converts_sparse)?;
        range(l, room, 2, 0, i32::MAX, |options| &mut options.sparse_ratio)?;
        range(l, room, 3, 0, i32::MAX, |options| &mut options.sparse_safe)?;
    }
    Ok(3)
}

pub(super) unsafe fn encode_max_depth(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 1)?;
        range(l, room, 1, 1, i32::MAX, |options| &mut options.encode_depth_max)
    }
}

pub(super) unsafe fn decode_max_depth(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 1)?;
        range(l, room, 1, 1, i32::MAX, |options| &mut options.decode_depth_max)
    }
}

pub(super) unsafe fn encode_number_precision(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 1)?;
        range(l, room, 1, 1, 14, |options| &mut options.precision)
    }
}

/// Remembered and answered; there is no buffer to keep.
pub(super) unsafe fn encode_keep_buffer(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 1)?;
        flag(l, room, |options| &mut options.keeps_buffer)
    }
}

pub(super) unsafe fn decode_invalid_numbers(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: passed on.
    unsafe {
        expect_arguments(l, 1)?;
        flag(l, room, |options| &mut options.decodes_invalid)
    }
}

pub(super) unsafe fn encode_invalid_numbers(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the function's own thread, with the limit lifted and free slots.
    unsafe {
        expect_arguments(l, 1)?;
        let cell = options_of(l, room);
        let mut options = cell.get();
        if let Some(choice) = choice(l, &["off", "on", "null"])? {
            options.encode_invalid = [InvalidNumbers::Refused, InvalidNumbers::Written, InvalidNumbers::Null][choice];
            cell.set(options);
        }
        match options.encode_invalid {
            InvalidNumbers::Refused => lua_pushboolean(l, 0),
            InvalidNumbers::Written => lua_pushboolean(l, 1),
            InvalidNumbers::Null => push_bytes(l, b"null"),
        }
    }
    Ok(1)
}

/// Refuses more arguments than `count`, and makes nil of those that are missing.
unsafe fn expect_arguments(l: *mut lua_State, count: c_int) -> Result<(), Trouble> {
    // SAFETY: as in `encode_invalid_numbers`.
    unsafe {
        if lua_gettop(l) > count {
            return Err(Trouble::argument(count + 1, "found too many arguments"));
        }
        lua_settop(l, count);
    }
    Ok(())
}

/// Sets a number, if one is given, and pushes the one in force. A number out of range is put down to the first argument, as in the original.
unsafe fn range(
    l: *mut lua_State,
    room: &Room,
    index: c_int,
    least: i32,
    most: i32,
    field: impl FnOnce(&mut JsonOptions) -> &mut i32,
) -> Result<c_int, Trouble> {
    // SAFETY: as in `encode_invalid_numbers`.
    unsafe {
        let cell = options_of(l, room);
        let mut options = cell.get();
        let value = field(&mut options);
        if lua_isnil(l, index) == 0 {
            let given = integer(l, index)? as i32;
            if !(least..=most).contains(&given) {
                return Err(Trouble::argument(1, format!("expected integer between {least} and {most}")));
            }
            *value = given;
        }
        lua_pushnumber(l, (*value).into());
        cell.set(options);
    }
    Ok(1)
}

/// Sets what is on or off by the first argument, if it is given, and pushes what is in force.
unsafe fn flag(
    l: *mut lua_State,
    room: &Room,
    field: impl FnOnce(&mut JsonOptions) -> &mut bool,
) -> Result<c_int, Trouble> {
    // SAFETY: as in `encode_invalid_numbers`.
    unsafe {
        let cell = options_of(l, room);
        let mut options = cell.get();
        let value = field(&mut options);
        if let Some(choice) = choice(l, &["off", "on"])? {
            *value = choice == 1;
        }
        lua_pushboolean(l, (*value).into());
        cell.set(options);
    }
    Ok(1)
}

/// The first argument as the number of a word; false and true are the first two.
unsafe fn choice(l: *mut lua_State, words: &[&str]) -> Result<Option<usize>, Trouble> {
    // SAFETY: as in `encode_invalid_numbers`.
    unsafe {
        match lua_type(l, 1) {
            LUA_TNIL => Ok(None),
            LUA_TBOOLEAN => Ok(Some((lua_toboolean(l, 1) != 0).into())),
            _ => {
                let word = string(l, 1)?;
                let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
                let found = words.iter().position(|known| known.as_bytes() == word);
                found.map(Some).ok_or_else(|| Trouble::argument(1, [b"invalid option '", word, b"'"].concat()))
            }
        }
    }
}
