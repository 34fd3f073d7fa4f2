//! The functions that scripts call: `redis.*`, and those of the sandbox that cannot be Lua.
//!
//! Each is a shell and an inner function, for the reason given in [`super::lua`].

use super::host::{CallEnd, LogLevel};
use super::lua::*;
use super::lua_reply::{Failure, LuaReply, push_error};
use super::number::NumberText;
use super::random::Random;
use super::room::{Ending, room};
use super::shell::{Then, functions, not_a_number, raise, raise_at, stop};
use super::source::ScriptDigest;
use crate::reply::Protocol;
use smallvec::SmallVec;
use std::ffi::CStr;
use std::os::raw::c_int;

functions! {
    redis_call => call_raising;
    redis_pcall => call_returning;
    redis_error_reply => error_reply;
    redis_status_reply => status_reply;
    redis_sha1hex => sha1hex;
    redis_log => log;
    redis_setresp => set_protocol;
    redis_set_repl => set_replication;
    redis_replicate_commands => replicate_commands;
    redis_breakpoint => breakpoint;
    redis_debug => debug;
    redis_acl_check_cmd => acl_check;
    assigned_to_locked => assigned;
    refused_by_locked => refused;
    missing_global => missing;
    random => random_number;
    random_seed => seed;
    coroutine_running => running;
    coroutine_yield => check_yield;
    is_stopped => answer_stopped;
}

/// The functions of the table `redis`.
pub(super) const REDIS_FUNCTIONS: [(&CStr, lua_CFunction); 12] = [
    (c"call", redis_call),
    (c"pcall", redis_pcall),
    (c"error_reply", redis_error_reply),
    (c"status_reply", redis_status_reply),
    (c"sha1hex", redis_sha1hex),
    (c"log", redis_log),
    (c"setresp", redis_setresp),
    (c"set_repl", redis_set_repl),
    (c"replicate_commands", redis_replicate_commands),
    (c"breakpoint", redis_breakpoint),
    (c"debug", redis_debug),
    (c"acl_check_cmd", redis_acl_check_cmd),
];

/// The numbers of the table `redis`.
pub(super) const REDIS_NUMBERS: [(&CStr, f64); 11] = [
    (c"LOG_DEBUG", 0.0),
    (c"LOG_VERBOSE", 1.0),
    (c"LOG_NOTICE", 2.0),
    (c"LOG_WARNING", 3.0),
    (c"REPL_NONE", 0.0),
    (c"REPL_AOF", 1.0),
    (c"REPL_SLAVE", 2.0),
    (c"REPL_REPLICA", 2.0),
    (c"REPL_ALL", 3.0),
    (c"REDIS_VERSION_NUM", 0x0007_0204 as f64),
    (c"SERVER_VERSION_NUM", server_version_number() as f64),
];

/// The texts of the table `redis`: the Redis whose behaviour is kept, and, under Valkey's names, what serves it.
pub(super) const REDIS_TEXTS: [(&CStr, &str); 3] =
    [(c"REDIS_VERSION", "7.2.4"), (c"SERVER_NAME", "ringkeep"), (c"SERVER_VERSION", SERVER_VERSION)];

const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The server's version with a byte for each part, as in REDIS_VERSION_NUM.
const fn server_version_number() -> u32 {
    let (mut number, mut part, mut index) = (0, 0, 0);
    let text = SERVER_VERSION.as_bytes();
    while index < text.len() {
        match text[index] {
            b'.' => (number, part) = (number << 8 | part, 0),
            digit => {
                assert!(digit.is_ascii_digit(), "a version has three numbers");
                part = part * 10 + (digit - b'0') as u32;
            }
        }
        index += 1;
    }
    number << 8 | part
}

/// Arguments of a call that fit without an allocation.
const INLINE_ARGUMENTS: usize = 16;
/// The same for arguments that are numbers.
const INLINE_NUMBERS: usize = 4;

unsafe fn call_raising(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { call(l, true) }
}

unsafe fn call_returning(l: *mut lua_State) -> Then {
    // SAFETY: passed on.
    unsafe { call(l, false) }
}

/// `redis.call` and `redis.pcall`.
#[inline(always)]
unsafe fn call(l: *mut lua_State, raises: bool) -> Then {
    // SAFETY: Lua gives a function 20 free slots above its arguments; the limit is lifted, so nothing here raises.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        if room.ending.get() != Ending::Open {
            return stop(l, room);
        }
        let count = lua_gettop(l);
        let (answer, is_error, failure) = {
            let (mut numbers, mut arguments) = (SmallVec::new(), SmallVec::new());
            if let Err(text) = read_arguments(l, count, &mut numbers, &mut arguments) {
                push_error(l, text);
                return if raises { Then::Raise } else { Then::Return(1) };
            }
            loop {
                let mut reply = LuaReply::new(l, room);
                let answer = room.ask(|host| {
                    let end = host.call(&arguments, &mut reply);
                    assert!(end != CallEnd::Done || reply.is_complete(), "a command writes a reply");
                    end
                });
                if answer != Some(CallEnd::Wait) {
                    break (answer, reply.is_error(), reply.failure());
                }
                lua_settop(l, count);
                room.wait();
                if room.ending.get() != Ending::Open {
                    break (None, false, None);
                }
            }
        };
        match (answer, failure) {
            (Some(CallEnd::Done), None) if is_error && raises => Then::Raise,
            (Some(CallEnd::Done), None) => Then::Return(1),
            (Some(CallEnd::Done), Some(failure)) => {
                lua_settop(l, count);
                match failure {
                    Failure::Memory => push_bytes(l, b"not enough memory"),
                    Failure::Size => push_error(l, b"ERR reached lua stack limit"),
                }
                Then::Raise
            }
            (Some(CallEnd::Abandon | CallEnd::Wait) | None, _) => stop(l, room),
        }
    }
}

/// The arguments as slices into the Lua strings, which the stack keeps in place; numbers are written into `numbers`.
#[inline(always)]
unsafe fn read_arguments<'n>(
    l: *mut lua_State,
    count: c_int,
    numbers: &'n mut SmallVec<[NumberText; INLINE_NUMBERS]>,
    arguments: &mut SmallVec<[&'n [u8]; INLINE_ARGUMENTS]>,
) -> Result<(), &'static [u8]> {
    if count == 0 {
        return Err(b"ERR Please specify at least one argument for this redis lib call");
    }
    arguments.reserve(count as usize);
    // SAFETY: indexes up to `count` are there.
    unsafe {
        for index in 1..=count {
            match lua_type(l, index) {
                LUA_TSTRING => arguments.push(string_at(l, index)),
                LUA_TNUMBER => {
                    numbers.push(NumberText::new(lua_tonumber(l, index)));
                    arguments.push(&[][..]);
                }
                _ => {
                    return Err(b"ERR Lua redis lib command arguments must be strings or integers");
                }
            }
        }
        if !numbers.is_empty() {
            let mut texts = numbers.iter();
            for (index, argument) in (1..=count).zip(arguments) {
                if lua_type(l, index) == LUA_TNUMBER {
                    *argument = texts.next().expect("one text per number").as_bytes();
                }
            }
        }
    }
    Ok(())
}

unsafe fn error_reply(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        if lua_gettop(l) != 1 || lua_type(l, 1) != LUA_TSTRING {
            push_error(l, b"ERR wrong number or type of arguments");
        } else {
            let text = c_string_at(l, 1);
            push_error(l, text.strip_prefix(b"-").unwrap_or(text));
        }
    }
    Then::Return(1)
}

unsafe fn status_reply(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        if lua_gettop(l) != 1 || lua_type(l, 1) != LUA_TSTRING {
            push_error(l, b"ERR wrong number or type of arguments");
        } else {
            lua_createtable(l, 0, 1);
            lua_pushvalue(l, 1);
            lua_setfield(l, -2, c"ok".as_ptr());
        }
    }
    Then::Return(1)
}

unsafe fn sha1hex(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        if lua_gettop(l) != 1 {
            return raise(l, b"ERR wrong number of arguments");
        }
        let digest = ScriptDigest::of(string_at(l, 1));
        push_bytes(l, digest.as_bytes());
    }
    Then::Return(1)
}

unsafe fn log(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        let count = lua_gettop(l);
        if count < 2 {
            return raise(l, b"ERR redis.log() requires two arguments or more.");
        }
        if lua_isnumber(l, 1) == 0 {
            return raise(l, b"ERR First argument must be a number (log level).");
        }
        let level = match lua_tonumber(l, 1) as i64 {
            0 => LogLevel::Debug,
            1 => LogLevel::Verbose,
            2 => LogLevel::Notice,
            3 => LogLevel::Warning,
            _ => return raise(l, b"ERR Invalid debug level."),
        };
        let mut message = Vec::new();
        for index in 2..=count {
            if lua_isstring(l, index) != 0 {
                if index > 2 {
                    message.push(b' ');
                }
                message.extend_from_slice(string_at(l, index));
            }
        }
        if room.ask(|host| host.log(level, &message)).is_none() {
            return stop(l, room);
        }
    }
    Then::Return(0)
}

unsafe fn set_protocol(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        if lua_gettop(l) != 1 {
            return raise(l, b"ERR redis.setresp() requires one argument.");
        }
        let protocol = match lua_tonumber(l, 1) as i64 {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return raise(l, b"ERR RESP version must be 2 or 3."),
        };
        room.protocol.set(protocol);
        if room.ask(|host| host.set_protocol(protocol)).is_none() {
            return stop(l, room);
        }
    }
    Then::Return(0)
}

/// `redis.set_repl` has nothing to choose here, as in Redis without followers and file: effects are always logged. What it is given is checked.
unsafe fn set_replication(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        if lua_gettop(l) != 1 {
            return raise(l, b"ERR redis.set_repl() requires two arguments.");
        }
        if lua_tonumber(l, 1) as i64 & !3 != 0 {
            return raise(l, b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
        }
    }
    Then::Return(0)
}

unsafe fn replicate_commands(l: *mut lua_State) -> Then {
    // SAFETY: a slot is free, nothing is allocated.
    unsafe { lua_pushboolean(l, 1) };
    Then::Return(1)
}

/// False: there is no debugger to stop in.
unsafe fn breakpoint(l: *mut lua_State) -> Then {
    // SAFETY: a slot is free, nothing is allocated.
    unsafe { lua_pushboolean(l, 0) };
    Then::Return(1)
}

unsafe fn debug(_: *mut lua_State) -> Then {
    Then::Return(0)
}

unsafe fn acl_check(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        let (mut numbers, mut arguments) = (SmallVec::new(), SmallVec::new());
        let answer = match read_arguments(l, lua_gettop(l), &mut numbers, &mut arguments) {
            Ok(()) => room.ask(|host| host.acl_check(&arguments)),
            Err(text) => return raise(l, text),
        };
        match answer {
            Some(Some(allowed)) => lua_pushboolean(l, allowed.into()),
            Some(None) => return raise(l, b"ERR Invalid command passed to redis.acl_check_cmd()"),
            None => return stop(l, room),
        }
    }
    Then::Return(1)
}

const LOCKED: &[u8] = b"Attempt to modify a readonly table";

/// `__newindex` of locked tables.
unsafe fn assigned(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        raise_at(l, 1, LOCKED)
    }
}

/// What `rawset` and the like answer for locked tables: without a place, as in Redis.
unsafe fn refused(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let _lifted = room(l).memory.lift();
        push_bytes(l, LOCKED);
    }
    Then::Raise
}

/// `__index` of the global table's contents.
unsafe fn missing(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`; the name is the second argument of the metamethod.
    unsafe {
        let _lifted = room(l).memory.lift();
        let name = if lua_isstring(l, 2) != 0 { string_at(l, 2) } else { b"?" };
        let text = [b"Script attempted to access nonexistent global variable '", name, b"'"].concat();
        raise_at(l, 1, &text)
    }
}

/// `math.random`.
unsafe fn random_number(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        let mut random = room.random.get();
        let fraction = random.next();
        room.random.set(random);
        let count = lua_gettop(l);
        if count > 2 {
            return raise_at(l, 1, b"wrong number of arguments");
        }
        for index in 1..=count {
            if lua_isnumber(l, index) == 0 {
                return not_a_number(l, index, "random");
            }
        }
        let value = match count {
            0 => fraction,
            _ => {
                let low = if count == 1 { 1.0 } else { lua_tonumber(l, 1).trunc() };
                let high = lua_tonumber(l, count).trunc();
                if low > high {
                    let text = format!("bad argument #{count} to 'random' (interval is empty)");
                    return raise_at(l, 1, text.as_bytes());
                }
                (fraction * (high - low + 1.0)).floor() + low
            }
        };
        lua_pushnumber(l, value);
    }
    Then::Return(1)
}

/// `math.randomseed`.
unsafe fn seed(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        if lua_isnumber(l, 1) == 0 {
            return not_a_number(l, 1, "randomseed");
        }
        room.random.set(Random::seeded(lua_tonumber(l, 1) as i64 as i32));
    }
    Then::Return(0)
}

/// `coroutine.running`: the thread that scripts start in is the main one, for which the answer is nil.
unsafe fn running(l: *mut lua_State) -> Then {
    // SAFETY: a slot is free, nothing is allocated.
    unsafe {
        if l == room(l).script_thread.get() {
            lua_pushnil(l);
        } else {
            lua_pushthread(l);
        }
    }
    Then::Return(1)
}

/// `coroutine.yield`: what the script yields reaches its own resume, never the shard.
unsafe fn check_yield(l: *mut lua_State) -> Then {
    // SAFETY: as in `call`.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        if l == room.script_thread.get() || lua_isyieldable(l) == 0 {
            push_bytes(l, b"attempt to yield across metamethod/C-call boundary");
            return Then::Raise;
        }
    }
    Then::Yield
}

/// Whether no handler of an error may run: the run is being taken down, or the native stack is used up. LuaJIT calls a handler on top of the
/// error that it handles, and does not bound how often.
unsafe fn answer_stopped(l: *mut lua_State) -> Then {
    // SAFETY: a slot is free, nothing is allocated.
    unsafe {
        let room = room(l);
        let is_barred = room.ending.get() != Ending::Open || room.is_deep() || room.has_raised_in_hook.replace(false);
        lua_pushboolean(l, is_barred.into())
    };
    Then::Return(1)
}
