//! A library's load in one VM: its text runs once, in a world of its own, and leaves its callbacks.
//!
//! As in Redis that world has `redis.register_function`, `redis.log` and the version, and no other global. What the text captured
//! there it keeps; its functions see the globals of all scripts when they run.

use super::chunk::CompileError;
use super::host::{CallEnd, LogLevel, ScriptHost};
use super::lua::*;
use super::lua_reply::push_error;
use super::registration::{LOAD_TIMEOUT, Loading, Registered};
use super::room::{AtSliceEnd, Ending, room};
use super::source::ScriptFlags;
use super::tail_calls::keep_lines;
use super::vm::Vm;
use super::{failure, slots};
use crate::limits::{LIBRARY_LOAD_STEPS_MAX, SCRIPT_LOG_LINES_MAX};
use crate::reply::{Protocol, ReplySink};
use std::os::raw::c_int;
use std::panic::resume_unwind;

/// Instructions from hook to hook.
const STEPS_PER_HOOK: c_int = 10_000;

impl Vm {
    /// Runs the text of a library. `log` gets what it logs. The error is what the client reads; nothing is left of the load then.
    pub(super) fn load_library(
        &mut self,
        body: &[u8],
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<Vec<Registered>, Vec<u8>> {
        let chunk = self.compile(&keep_lines(body), c"@user_function").map_err(|error| {
            let reason = match error {
                CompileError::Syntax(message) => message,
                CompileError::Memory => b"not enough memory".to_vec(),
            };
            [b"ERR Error compiling function: ", &reason[..]].concat()
        })?;
        assert!(!self.is_aside(), "a VM runs one script at a time");
        let (main, thread) = (self.state(), self.room().script_thread.get());
        self.room().protocol.set(Protocol::Resp2);
        self.room().ending.set(Ending::Open);
        self.room().at_slice_end.set(AtSliceEnd::Load);
        let hooks_left = LIBRARY_LOAD_STEPS_MAX / STEPS_PER_HOOK as u32;
        self.room().loading.replace(Some(Loading { functions: Vec::new(), hooks_left }));
        let mut host = LoadHost { log };
        // SAFETY: the limit is lifted, and nothing runs.
        unsafe {
            let _lifted = self.room().memory.lift();
            self.clear_global_lists();
            show_globals(main, slots::LOADING_NAME);
            lua_sethook(main, Some(count), LUA_MASKCOUNT, STEPS_PER_HOOK);
            chunk.push(thread);
        }
        let status = self.run_load(thread, &mut host);
        // SAFETY: the thread has ended or stands where it raised; the limit is lifted.
        let failed = unsafe {
            let _lifted = self.room().memory.lift();
            lua_sethook(main, None, 0, 0);
            show_globals(main, slots::CONTENTS_NAME);
            match status {
                LUA_OK => {
                    lua_settop(thread, 0);
                    None
                }
                _ => Some(failure::message(thread, status).unwrap_or_else(|| b"not enough memory".to_vec())),
            }
        };
        self.release(chunk);
        let functions = self.room().loading.take().expect("it was just put there").functions;
        let Some(message) = failed else { return Ok(functions) };
        self.renew_thread();
        self.is_spent |= status == LUA_ERRMEM || self.room().ending.get() != Ending::Open;
        if let Some(payload) = self.room().take_panic() {
            resume_unwind(payload);
        }
        functions.into_iter().for_each(|function| self.release(function.callback));
        Err([b"ERR Error registering functions: ", &message[..]].concat())
    }
}

/// Lets the scripts' global table show the contents that are kept under this name.
unsafe fn show_globals(main: *mut lua_State, name: &std::ffi::CStr) {
    // SAFETY: the main thread has free slots above its constants, and the limit is lifted.
    unsafe {
        lua_settop(main, slots::COUNT);
        lua_pushvalue(main, LUA_GLOBALSINDEX);
        assert_ne!(lua_getmetatable(main, -1), 0, "the global table is a front");
        lua_getfield_(main, LUA_REGISTRYINDEX, name.as_ptr());
        lua_setfield(main, -2, c"__index".as_ptr());
        lua_settop(main, slots::COUNT);
    }
}

/// The hook that bounds a load.
/// Counts a load's instructions from here on.
pub(super) unsafe fn count_load(l: *mut lua_State) {
    // SAFETY: a live VM; a hook may set hooks.
    unsafe { lua_sethook(l, Some(count), LUA_MASKCOUNT, STEPS_PER_HOOK) };
}

unsafe extern "C-unwind" fn count(l: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: the inner call owns what it needs and has dropped it when `lua_error` unwinds.
    unsafe {
        if is_too_long(l) {
            lua_error(l);
        }
    }
}

/// Whether the load has taken too many steps; the error is pushed then.
unsafe fn is_too_long(l: *mut lua_State) -> bool {
    // SAFETY: a hook has the free slots of a function.
    unsafe {
        let room = room(l);
        let _lifted = room.memory.lift();
        let mut loading = room.loading.borrow_mut();
        let Some(loading) = loading.as_mut() else { return false };
        let is_over = !loading.goes_on();
        if is_over {
            push_error(l, LOAD_TIMEOUT.as_bytes());
        }
        is_over
    }
}

/// What a library may ask for while it is loaded: a line in the log.
struct LoadHost<'a> {
    log: &'a mut Vec<(LogLevel, Vec<u8>)>,
}

impl ScriptHost for LoadHost<'_> {
    fn begin(&mut self, _: ScriptFlags, _: bool) -> Result<(), &'static str> {
        Ok(())
    }

    fn expect(&mut self, _: &[&[u8]]) {}

    fn passed_on(&mut self, _: &[u8]) {}

    fn call(&mut self, _: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd {
        reply.error("ERR redis.call/pcall can only be called inside a script invocation");
        CallEnd::Done
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        if self.log.len() < SCRIPT_LOG_LINES_MAX {
            self.log.push((level, message.to_vec()));
        }
    }

    fn set_protocol(&mut self, _: Protocol) {}

    fn acl_check(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}
