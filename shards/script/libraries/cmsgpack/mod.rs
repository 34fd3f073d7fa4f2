//! MessagePack, as the library that Redis brings writes and reads it: without the types that came later (binary, extensions).

mod pack;
mod unpack;

use super::super::lua::*;
use super::super::shell::{Then, functions};
use super::trouble::enter;
use super::{Constant, Function};
use std::ffi::CStr;

functions! {
    msgpack_pack => |l| enter(l, pack::pack);
    msgpack_unpack => |l| enter(l, unpack::unpack);
    msgpack_unpack_one => |l| enter(l, unpack::unpack_one);
    msgpack_unpack_limit => |l| enter(l, unpack::unpack_limit);
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 4] = [
    (c"pack", msgpack_pack),
    (c"unpack", msgpack_unpack),
    (c"unpack_one", msgpack_unpack_one),
    (c"unpack_limit", msgpack_unpack_limit),
];

/// The library's words about itself; scripts may look at them.
pub(super) const CONSTANTS: [(&CStr, Constant); 4] = [
    (c"_NAME", Constant::Text(c"cmsgpack")),
    (c"_VERSION", Constant::Text(c"lua-cmsgpack 0.4.0")),
    (c"_COPYRIGHT", Constant::Text(c"Copyright (C) 2012, Salvatore Sanfilippo")),
    (c"_DESCRIPTION", Constant::Text(c"MessagePack C implementation for Lua")),
];
