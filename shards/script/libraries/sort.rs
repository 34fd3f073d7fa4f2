//! `table.sort`: the quicksort of Lua 5.1, so that comparators are asked the same questions in the same order, and what they leave
//! undecided ends up in the same place.

use super::values::{fail, fail_bare, no_memory};
use crate::script::lua::*;
use crate::script::memory::Lifted;
use crate::script::nesting::CALLED_MAX;
use crate::script::room::{Room, room};
use crate::script::shell::{Then, functions, stop};
use crate::script::work::{Stopped, Work};
use std::os::raw::c_int;

functions! {
    table_sort => sort;
}

/// What is being sorted: places from 1, and a pivot that is put aside.
trait Places {
    type Error: From<Stopped> + From<Disorder>;

    /// Is what lies at one place less than what lies at another?
    fn is_less(&mut self, one: i32, other: i32) -> Result<bool, Self::Error>;
    fn is_below_pivot(&mut self, place: i32) -> Result<bool, Self::Error>;
    fn is_above_pivot(&mut self, place: i32) -> Result<bool, Self::Error>;
    fn set_pivot(&mut self, place: i32);
    fn swap(&mut self, one: i32, other: i32);
}

/// The order contradicts itself.
struct Disorder;

const DISORDER: &str = "invalid order function for sorting";

/// Ranges that wait: the smaller part goes first, so that each one that waits is at least as large as all that follow.
const RANGES_MAX: usize = 32;

fn quicksort<P: Places>(places: &mut P, work: &mut Work<'_>, count: i32) -> Result<(), P::Error> {
    let mut waiting = [(0, 0); RANGES_MAX];
    let mut waits = 0;
    let (mut low, mut high) = (1, count);
    loop {
        while low < high {
            work.spend(8)?;
            if places.is_less(high, low)? {
                places.swap(low, high);
            }
            if high - low == 1 {
                break;
            }
            let middle = low + (high - low) / 2;
            if places.is_less(middle, low)? {
                places.swap(middle, low);
            } else if places.is_less(high, middle)? {
                places.swap(middle, high);
            }
            if high - low == 2 {
                break;
            }
            places.set_pivot(middle);
            places.swap(middle, high - 1);
            let (mut left, mut right) = (low, high - 1);
            loop {
                left += 1;
                while places.is_below_pivot(left)? {
                    work.spend(4)?;
                    if left > high {
                        return Err(Disorder.into());
                    }
                    left += 1;
                }
                right -= 1;
                while places.is_above_pivot(right)? {
                    work.spend(4)?;
                    if right < low {
                        return Err(Disorder.into());
                    }
                    right -= 1;
                }
                if right < left {
                    break;
                }
                work.spend(4)?;
                places.swap(left, right);
            }
            places.swap(high - 1, left);
            let (below, above) = ((low, left - 1), (left + 1, high));
            let (first, later) = if left - low < high - left { (below, above) } else { (above, below) };
            waiting[waits] = later;
            waits += 1;
            (low, high) = first;
        }
        if waits == 0 {
            return Ok(());
        }
        waits -= 1;
        (low, high) = waiting[waits];
    }
}

/// How the elements of a table are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Function,
    Operator,
}

/// A table's elements, where they are. It owns nothing: comparisons may raise.
struct Elements {
    l: *mut lua_State,
    comparison: Comparison,
}

const TABLE: c_int = 1;
const FUNCTION: c_int = 2;
const PIVOT: c_int = 3;

/// Why a sort of elements ended.
enum Broken {
    Stopped,
    Disorder,
    /// Values that have no order: the two on top of the stack.
    Unordered,
}

impl From<Stopped> for Broken {
    fn from(_: Stopped) -> Self {
        Broken::Stopped
    }
}

impl From<Disorder> for Broken {
    fn from(_: Disorder) -> Self {
        Broken::Disorder
    }
}

impl Elements {
    /// Compares the two values on top, which lie above the function if there is one, and takes them away.
    #[inline(always)]
    fn compare(&mut self) -> Result<bool, Broken> {
        let l = self.l;
        // SAFETY: the values are there; nothing is owned should the call raise.
        unsafe {
            if self.comparison == Comparison::Function {
                lua_call(l, 2, 1);
                let is_less = lua_toboolean(l, -1) != 0;
                lua_settop(l, PIVOT);
                return Ok(is_less);
            }
            let is_less = match (lua_type(l, -2), lua_type(l, -1)) {
                (LUA_TNUMBER, LUA_TNUMBER) => lua_tonumber(l, -2) < lua_tonumber(l, -1),
                (LUA_TSTRING, LUA_TSTRING) => string_at(l, -2) < string_at(l, -1),
                (one, other) if one == other && has_order(l) => {
                    lua_pushvalue(l, -3);
                    lua_pushvalue(l, -3);
                    lua_call(l, 2, 1);
                    lua_toboolean(l, -1) != 0
                }
                _ => return Err(Broken::Unordered),
            };
            lua_settop(l, PIVOT);
            Ok(is_less)
        }
    }

    #[inline(always)]
    fn push_function(&self) {
        if self.comparison == Comparison::Function {
            // SAFETY: there are free slots.
            unsafe { lua_pushvalue(self.l, FUNCTION) };
        }
    }

    #[inline(always)]
    fn push(&self, place: i32) {
        // SAFETY: there are free slots.
        unsafe { lua_rawgeti_(self.l, TABLE, place) };
    }
}

/// Have the two values on top the same `__lt`? It is pushed then.
unsafe fn has_order(l: *mut lua_State) -> bool {
    // SAFETY: there are free slots.
    unsafe {
        if luaL_getmetafield_(l, -2, c"__lt".as_ptr()) == 0 {
            return false;
        }
        if luaL_getmetafield_(l, -2, c"__lt".as_ptr()) == 0 {
            lua_settop(l, -2);
            return false;
        }
        let is_same = lua_rawequal(l, -1, -2) != 0;
        lua_settop(l, if is_same { -2 } else { -3 });
        is_same
    }
}

impl Places for Elements {
    type Error = Broken;

    fn is_less(&mut self, one: i32, other: i32) -> Result<bool, Broken> {
        self.push_function();
        self.push(one);
        self.push(other);
        self.compare()
    }

    #[inline(always)]
    fn is_below_pivot(&mut self, place: i32) -> Result<bool, Broken> {
        self.push_function();
        self.push(place);
        // SAFETY: there are free slots.
        unsafe { lua_pushvalue(self.l, PIVOT) };
        self.compare()
    }

    #[inline(always)]
    fn is_above_pivot(&mut self, place: i32) -> Result<bool, Broken> {
        self.push_function();
        // SAFETY: there are free slots.
        unsafe { lua_pushvalue(self.l, PIVOT) };
        self.push(place);
        self.compare()
    }

    fn set_pivot(&mut self, place: i32) {
        self.push(place);
        // SAFETY: the slot of the pivot is there.
        unsafe { lua_replace(self.l, PIVOT) };
    }

    #[inline(always)]
    fn swap(&mut self, one: i32, other: i32) {
        self.push(one);
        self.push(other);
        // SAFETY: both values are on the stack. Should the table have to grow (it has holes), it may raise.
        unsafe {
            lua_rawseti_(self.l, TABLE, one);
            lua_rawseti_(self.l, TABLE, other);
        }
    }
}

/// A string's first bytes, and where the rest is.
#[derive(Clone, Copy)]
struct Key<'a> {
    head: u64,
    text: &'a [u8],
    /// Where the string was before.
    origin: i32,
}

impl<'a> Key<'a> {
    fn new(text: &'a [u8], origin: i32) -> Self {
        let mut head = [0; 8];
        let len = text.len().min(8);
        head[..len].copy_from_slice(&text[..len]);
        Key { head: u64::from_be_bytes(head), text, origin }
    }
}

/// Values that are sorted aside.
struct Aside<T, F> {
    values: Vec<T>,
    pivot: T,
    is_less: F,
}

/// Why a sort aside ended.
struct Broke(Option<Stopped>);

impl From<Stopped> for Broke {
    fn from(stopped: Stopped) -> Self {
        Broke(Some(stopped))
    }
}

impl From<Disorder> for Broke {
    fn from(_: Disorder) -> Self {
        Broke(None)
    }
}

impl<T: Copy, F: Fn(T, T) -> bool> Aside<T, F> {
    #[inline(always)]
    fn at(&self, place: i32) -> Option<T> {
        self.values.get((place as usize).wrapping_sub(1)).copied()
    }
}

impl<T: Copy, F: Fn(T, T) -> bool> Places for Aside<T, F> {
    type Error = Broke;

    #[inline(always)]
    fn is_less(&mut self, one: i32, other: i32) -> Result<bool, Broke> {
        Ok((self.is_less)(self.values[one as usize - 1], self.values[other as usize - 1]))
    }

    #[inline(always)]
    fn is_below_pivot(&mut self, place: i32) -> Result<bool, Broke> {
        // Only an order with a NaN in it leads beyond the ends.
        let value = self.at(place).ok_or(Broke(None))?;
        Ok((self.is_less)(value, self.pivot))
    }

    #[inline(always)]
    fn is_above_pivot(&mut self, place: i32) -> Result<bool, Broke> {
        let value = self.at(place).ok_or(Broke(None))?;
        Ok((self.is_less)(self.pivot, value))
    }

    fn set_pivot(&mut self, place: i32) {
        self.pivot = self.values[place as usize - 1];
    }

    #[inline(always)]
    fn swap(&mut self, one: i32, other: i32) {
        self.values.swap(one as usize - 1, other as usize - 1);
    }
}

unsafe fn sort(l: *mut lua_State) -> Then {
    // SAFETY: what is sorted aside is owned while nothing can raise; the rest owns nothing.
    unsafe {
        luaL_checktype(l, 1, LUA_TTABLE);
        let count = lua_objlen(l, 1).min(i32::MAX as usize - 1) as i32;
        let has_function = lua_type(l, 2) > LUA_TNIL;
        if has_function {
            luaL_checktype(l, 2, LUA_TFUNCTION);
        }
        lua_settop(l, PIVOT);
        let room = room(l);
        if !has_function {
            match sort_aside(l, room, count) {
                Some(Ok(())) => return Then::Return(0),
                Some(Err(Refusal::Stopped)) => return stop(l, room),
                Some(Err(Refusal::Memory)) => return no_memory(l, room),
                None => {}
            }
        }
        if !room.nesting.enter(CALLED_MAX) {
            return fail_bare(l, "C stack overflow");
        }
        let comparison = if has_function { Comparison::Function } else { Comparison::Operator };
        let mut elements = Elements { l, comparison };
        match quicksort(&mut elements, &mut Work::new(room), count) {
            Ok(()) => Then::Return(0),
            Err(Broken::Stopped) => stop(l, room),
            Err(Broken::Disorder) => fail(l, DISORDER),
            Err(Broken::Unordered) => {
                let (one, other) = (lua_type(l, -2), lua_type(l, -1));
                if one == other {
                    lua_pushfstring(l, c"attempt to compare two %s values".as_ptr(), lua_typename(l, one));
                } else {
                    let (one, other) = (lua_typename(l, one), lua_typename(l, other));
                    lua_pushfstring(l, c"attempt to compare %s with %s".as_ptr(), one, other);
                }
                Then::Raise
            }
        }
    }
}

/// Why a sort aside did not come to its end.
enum Refusal {
    Stopped,
    Memory,
}

/// Sorts numbers only, or strings only, outside of Lua. `None`: it is neither, or their order is none.
unsafe fn sort_aside(l: *mut lua_State, room: &Room, count: i32) -> Option<Result<(), Refusal>> {
    if count < 2 {
        return Some(Ok(()));
    }
    // SAFETY: with the limit lifted nothing raises.
    unsafe {
        lua_rawgeti_(l, TABLE, 1);
        let kind = lua_type(l, -1);
        lua_settop(l, PIVOT);
        let bytes = match kind {
            LUA_TNUMBER => size_of::<f64>(),
            LUA_TSTRING => size_of::<Key<'_>>(),
            _ => return None,
        };
        if room.memory.exceeds(count as usize * bytes) {
            return Some(Err(Refusal::Memory));
        }
        let lifted = room.memory.lift();
        let sorted = match kind {
            LUA_TNUMBER => sort_numbers(l, room, count, &lifted),
            _ => sort_strings(l, room, count, &lifted),
        };
        match sorted {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(Stopped) => Some(Err(Refusal::Stopped)),
        }
    }
}

/// What lies at the places from 1 to `count`, each read while it is on top of the stack; none if not all are of one kind.
unsafe fn values_of<T>(
    l: *mut lua_State,
    work: &mut Work<'_>,
    count: i32,
    kind: c_int,
    read: impl Fn(i32) -> T,
) -> Result<Option<Vec<T>>, Stopped> {
    let mut values = Vec::with_capacity(count as usize);
    for place in 1..=count {
        work.spend(8)?;
        // SAFETY: the caller has lifted the limit.
        unsafe {
            lua_rawgeti_(l, TABLE, place);
            let is_of_kind = lua_type(l, -1) == kind;
            if is_of_kind {
                values.push(read(place));
            }
            lua_settop(l, PIVOT);
            if !is_of_kind {
                return Ok(None);
            }
        }
    }
    Ok(Some(values))
}

unsafe fn sort_numbers(l: *mut lua_State, room: &Room, count: i32, _: &Lifted<'_>) -> Result<bool, Stopped> {
    let mut work = Work::new(room);
    // SAFETY: the caller has lifted the limit.
    unsafe {
        let Some(values) = values_of(l, &mut work, count, LUA_TNUMBER, |_| lua_tonumber(l, -1))? else {
            return Ok(false);
        };
        if values.iter().any(|value| value.is_nan()) {
            return Ok(false);
        }
        let mut aside = Aside { values, pivot: 0.0, is_less: |one: f64, other: f64| one < other };
        if let Err(Broke(stopped)) = quicksort(&mut aside, &mut work, count) {
            return stopped.map_or(Ok(false), Err);
        }
        for (place, &value) in (1..).zip(&aside.values) {
            work.spend(8)?;
            lua_pushnumber(l, value);
            lua_rawseti_(l, TABLE, place);
        }
    }
    Ok(true)
}

unsafe fn sort_strings(l: *mut lua_State, room: &Room, count: i32, _: &Lifted<'_>) -> Result<bool, Stopped> {
    let mut work = Work::new(room);
    // SAFETY: the caller has lifted the limit. The strings stay in the table until all is sorted, so that the slices stand.
    unsafe {
        let read = |place| Key::new(string_at(l, -1), place);
        let Some(values) = values_of(l, &mut work, count, LUA_TSTRING, read)? else { return Ok(false) };
        let pivot = values[0];
        let is_less = |one: Key<'_>, other: Key<'_>| match one.head.cmp(&other.head) {
            std::cmp::Ordering::Equal => one.text < other.text,
            order => order.is_lt(),
        };
        let mut aside = Aside { values, pivot, is_less };
        if let Err(Broke(stopped)) = quicksort(&mut aside, &mut work, count) {
            return stopped.map_or(Ok(false), Err);
        }
        // Each cycle of the permutation moves with one string on the stack.
        let mut origins: Vec<i32> = aside.values.iter().map(|key| key.origin).collect();
        drop(aside);
        for start in 1..=count {
            if origins[start as usize - 1] == start {
                continue;
            }
            lua_rawgeti_(l, TABLE, start);
            let mut place = start;
            loop {
                work.spend(16)?;
                let origin = std::mem::replace(&mut origins[place as usize - 1], place);
                if origin == start {
                    break;
                }
                lua_rawgeti_(l, TABLE, origin);
                lua_rawseti_(l, TABLE, place);
                place = origin;
            }
            lua_rawseti_(l, TABLE, place);
        }
    }
    Ok(true)
}
