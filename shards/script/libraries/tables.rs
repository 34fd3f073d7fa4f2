//! Functions of `table` that can run long.

use super::Function;
use super::sort::table_sort;
use super::values::{append, check_integer, fail, no_memory_for, optional_integer, push_buffer};
use crate::script::lua::*;
use crate::script::room::room;
use crate::script::shell::{Then, functions, stop};
use crate::script::work::Work;

functions! {
    table_concat => concat;
    table_insert => insert;
    table_setn => setn;
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 4] =
    [(c"concat", table_concat), (c"insert", table_insert), (c"setn", table_setn), (c"sort", table_sort)];

unsafe fn concat(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises: the buffer is the room's.
    unsafe {
        let mut len = 0;
        let separator: &[u8] = if lua_type(l, 2) <= LUA_TNIL {
            &[]
        } else {
            let start = luaL_checklstring(l, 2, &mut len);
            std::slice::from_raw_parts(start.cast(), len)
        };
        luaL_checktype(l, 1, LUA_TTABLE);
        // They are of type `int`: what does not fit is cut off.
        let first = optional_integer(l, 3, 1) as i32;
        let last = if lua_type(l, 4) <= LUA_TNIL { lua_objlen(l, 1) as i32 } else { check_integer(l, 4) as i32 };
        let room = room(l);
        let buffer = &mut *room.nesting.buffer();
        let mut work = Work::new(room);
        let top = lua_gettop(l);
        for place in first..=last {
            lua_rawgeti_(l, 1, place);
            let kind = lua_type(l, -1);
            if !matches!(kind, LUA_TSTRING | LUA_TNUMBER) {
                luaL_where(l, 1);
                let form = c"invalid value (%s) at index %d in table for 'concat'";
                lua_pushfstring(l, form.as_ptr(), lua_typename(l, kind), place);
                lua_concat(l, 2);
                return Then::Raise;
            }
            let text = string_at(l, -1);
            if work.spend(8 + (text.len() + separator.len()) / 16).is_err() {
                return stop(l, room);
            }
            let added = append(room, buffer, text);
            let added = if place == last { added } else { added.and_then(|()| append(room, buffer, separator)) };
            if added.is_err() {
                return no_memory_for(l, room, buffer);
            }
            lua_settop(l, top);
        }
        push_buffer(l, room, buffer)
    }
}

/// `table.insert` at a place, moving what follows.
unsafe fn insert(l: *mut lua_State) -> Then {
    // SAFETY: nothing is owned when something here raises.
    unsafe {
        luaL_checktype(l, 1, LUA_TTABLE);
        let place = check_integer(l, 2) as i32;
        let room = room(l);
        let mut work = Work::new(room);
        lua_settop(l, 3);
        let mut at = (lua_objlen(l, 1) as i32).wrapping_add(1).max(place);
        while at > place {
            if work.spend(8).is_err() {
                return stop(l, room);
            }
            lua_rawgeti_(l, 1, at - 1);
            lua_rawseti_(l, 1, at);
            at -= 1;
        }
        lua_rawseti_(l, 1, place);
    }
    Then::Return(0)
}

/// `table.setn`: it was taken away in Lua 5.1.
unsafe fn setn(l: *mut lua_State) -> Then {
    // SAFETY: as in `insert`.
    unsafe {
        luaL_checktype(l, 1, LUA_TTABLE);
        fail(l, "'setn' is obsolete")
    }
}
