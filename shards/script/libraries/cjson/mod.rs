//! JSON, as the library that Redis brings writes and reads it.

mod decode;
mod digits;
mod encode;
mod numeral;
mod options;
mod scan;

use super::super::lua::*;
use super::super::room::Room;
use super::super::shell::{Then, functions};
use super::trouble::{Trouble, enter};
use super::{Constant, Function};
use std::cell::Cell;
use std::ffi::CStr;
use std::os::raw::c_int;

pub(in super::super) use options::JsonOptions;

functions! {
    json_encode => |l| enter(l, encode::encode);
    json_decode => |l| enter(l, decode::decode);
    json_new => |l| enter(l, new);
    json_encode_sparse_array => |l| enter(l, options::encode_sparse_array);
    json_encode_max_depth => |l| enter(l, options::encode_max_depth);
    json_decode_max_depth => |l| enter(l, options::decode_max_depth);
    json_encode_number_precision => |l| enter(l, options::encode_number_precision);
    json_encode_keep_buffer => |l| enter(l, options::encode_keep_buffer);
    json_encode_invalid_numbers => |l| enter(l, options::encode_invalid_numbers);
    json_decode_invalid_numbers => |l| enter(l, options::decode_invalid_numbers);
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 10] = [
    (c"encode", json_encode),
    (c"decode", json_decode),
    (c"new", json_new),
    (c"encode_sparse_array", json_encode_sparse_array),
    (c"encode_max_depth", json_encode_max_depth),
    (c"decode_max_depth", json_decode_max_depth),
    (c"encode_number_precision", json_encode_number_precision),
    (c"encode_keep_buffer", json_encode_keep_buffer),
    (c"encode_invalid_numbers", json_encode_invalid_numbers),
    (c"decode_invalid_numbers", json_decode_invalid_numbers),
];

/// The library's other fields.
pub(super) const CONSTANTS: [(&CStr, Constant); 3] =
    [(c"_NAME", Constant::Text(c"cjson")), (c"_VERSION", Constant::Text(c"2.1.0")), (c"null", Constant::NullPointer)];

/// `cjson.new`: the library once more, with options of its own.
unsafe fn new(l: *mut lua_State, _: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted, and slots are free. The options need no more alignment than Lua's blocks have, and no drop.
    unsafe {
        lua_createtable(l, 0, (FUNCTIONS.len() + CONSTANTS.len()) as c_int);
        let options = lua_newuserdata(l, size_of::<Cell<JsonOptions>>()).cast::<Cell<JsonOptions>>();
        options.write(Cell::new(JsonOptions::default()));
        for (name, function) in FUNCTIONS {
            lua_pushvalue(l, -1);
            lua_pushcclosure(l, function, 1);
            lua_setfield(l, -3, name.as_ptr());
        }
        lua_pop(l, 1);
        for (name, constant) in CONSTANTS {
            constant.push(l);
            lua_setfield(l, -2, name.as_ptr());
        }
    }
    Ok(1)
}

/// The options of the function that runs: its own, if it came from `cjson.new`, or the room's.
unsafe fn options_of(l: *mut lua_State, room: &Room) -> &Cell<JsonOptions> {
    // SAFETY: a function here has one upvalue at most, which `new` has made; while the function runs it keeps it.
    unsafe { lua_touserdata(l, lua_upvalueindex(1)).cast::<Cell<JsonOptions>>().as_ref() }.unwrap_or(&room.json_options)
}
