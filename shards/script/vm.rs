//! One LuaJIT VM: made, locked, and running one script at a time.

use super::api;
use super::convert::write_value;
use super::failure;
use super::host::ScriptHost;
use super::libraries::LIBRARIES;
use super::lua::*;
use super::memory::{Memory, allocate};
use super::room::{Ending, Room};
use super::slots;
use super::source::ScriptDigest;
use crate::limits::SCRIPT_ARGUMENTS_MAX;
use crate::reply::{Protocol, ReplySink};
use std::os::raw::c_int;
use std::panic::resume_unwind;
use std::ptr::NonNull;

/// The text that builds the sandbox.
const SANDBOX: &str = include_str!("sandbox.lua");
/// A compiled chunk of one VM: its number in that VM's registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk(c_int);

/// Why a text did not compile.
pub(super) enum CompileError {
    /// The message of Lua's parser.
    Syntax(Vec<u8>),
    /// The VM's memory limit.
    Memory,
}

/// How a run ended, as the VM sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RunEnd {
    /// The result is in the reply.
    Done,
    /// The error is in the reply.
    Raised,
    /// The host abandoned it; nothing is in the reply.
    Abandoned,
}

/// A VM. It stays on its thread: it is neither `Send` nor `Sync`.
pub(super) struct Vm {
    main: *mut lua_State,
    room: NonNull<Room>,
    /// What was in use after the last full collection: another one is of use only when much more is.
    floor_bytes: usize,
}

impl Vm {
    /// A VM with the sandbox built. The error says what failed.
    pub(super) fn new(limit_bytes: usize) -> Result<Self, String> {
        let room = NonNull::from(Box::leak(Box::new(Room::new(limit_bytes))));
        // SAFETY: the room outlives the VM: `Drop` closes the VM first. The layout of `Room` starts with its `Memory`.
        unsafe {
            let user = room.cast::<Memory>();
            let main = lua_newstate(allocate, user.as_ptr().cast());
            if main.is_null() {
                drop(Box::from_raw(room.as_ptr()));
                return Err("no memory for a Lua VM".into());
            }
            let mut vm = Vm { main, room, floor_bytes: 0 };
            if lua_cpcall(main, build, std::ptr::null_mut()) != LUA_OK {
                return Err(format!("the Lua sandbox: {}", String::from_utf8_lossy(string_at(main, -1))));
            }
            slots::fill(main);
            vm.renew_thread();
            lua_gc(main, LUA_GCCOLLECT, 0);
            vm.floor_bytes = vm.room().memory.used_bytes();
            vm.room().memory.set_lifted(false);
            Ok(vm)
        }
    }

    pub(super) fn room(&self) -> &Room {
        // SAFETY: it lives until the VM is dropped; only shared references to it are made.
        unsafe { self.room.as_ref() }
    }

    /// The state, for a hook that is to be set from outside.
    pub(super) fn state(&self) -> *mut lua_State {
        self.main
    }

    /// Compiles a text (no bytecode) and keeps the function.
    pub(super) fn compile(&mut self, text: &[u8]) -> Result<Chunk, CompileError> {
        if text.starts_with(&LUA_SIGNATURE[..1]) {
            return Err(CompileError::Syntax(b"attempt to load chunk with wrong mode".to_vec()));
        }
        match self.try_compile(text) {
            Err(CompileError::Memory) => {
                self.collect();
                self.try_compile(text)
            }
            result => result,
        }
    }

    fn try_compile(&mut self, text: &[u8]) -> Result<Chunk, CompileError> {
        let l = self.main;
        // SAFETY: `luaL_loadbuffer` is protected by itself; the rest runs with the limit lifted.
        unsafe {
            lua_settop(l, slots::COUNT);
            let status = luaL_loadbuffer(l, text.as_ptr().cast(), text.len(), c"@user_script".as_ptr());
            let _lifted = self.room().memory.lift();
            match status {
                LUA_OK => Ok(Chunk(luaL_ref(l, LUA_REGISTRYINDEX))),
                LUA_ERRMEM => Err(CompileError::Memory),
                _ => Err(CompileError::Syntax(string_at(l, -1).to_vec())),
            }
        }
    }

    /// Forgets a compiled function.
    pub(super) fn release(&mut self, chunk: Chunk) {
        let _lifted = self.room().memory.lift();
        // SAFETY: the limit is lifted.
        unsafe { luaL_unref(self.main, LUA_REGISTRYINDEX, chunk.0) };
    }

    /// Collects all garbage.
    pub(super) fn collect(&mut self) {
        {
            let _lifted = self.room().memory.lift();
            // SAFETY: the limit is lifted.
            unsafe { lua_gc(self.main, LUA_GCCOLLECT, 0) };
        }
        self.floor_bytes = self.room().memory.used_bytes();
    }

    /// Runs a compiled script and writes its result, or its error, to `reply`.
    pub(super) fn run(
        &mut self,
        chunk: Chunk,
        digest: &ScriptDigest,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        host: &mut dyn ScriptHost,
        reply: &mut dyn ReplySink,
    ) -> RunEnd {
        if keys.len().max(arguments.len()) > SCRIPT_ARGUMENTS_MAX {
            reply.error("ERR too many arguments for a script");
            return RunEnd::Raised;
        }
        self.make_space();
        let main = self.main;
        let thread = self.room().script_thread.get();
        let random_before = self.room().random.get();
        self.room().protocol.set(Protocol::Resp2);
        self.room().ending.set(Ending::Open);
        self.room().nesting.clear(&self.room().memory);
        // SAFETY: outside of `lua_resume`, which is protected, the limit is lifted.
        let status = unsafe {
            {
                let _lifted = self.room().memory.lift();
                lua_settop(main, slots::COUNT);
                set_global_list(main, slots::KEYS, keys);
                set_global_list(main, slots::ARGV, arguments);
                lua_rawgeti_(thread, LUA_REGISTRYINDEX, chunk.0);
            }
            let _host = self.room().lend(host);
            lua_resume_(thread, 0)
        };
        self.room().nesting.clear(&self.room().memory);
        let _lifted = self.room().memory.lift();
        if self.room().ending.get() == Ending::Stopped {
            // SAFETY: the limit is lifted.
            unsafe { lua_sethook(main, None, 0, 0) };
            self.renew_thread();
            if let Some(payload) = self.room().take_panic() {
                resume_unwind(payload);
            }
            self.room().random.set(random_before);
            return RunEnd::Abandoned;
        }
        if status == LUA_OK {
            // SAFETY: the thread has ended; its results are what is on its stack. The limit is lifted.
            unsafe {
                lua_settop(thread, 1);
                lua_xmove(thread, main, 1);
                write_value(main, self.room().protocol.get(), reply);
            }
            return RunEnd::Done;
        }
        // SAFETY: the thread stands where it raised.
        let text = unsafe { failure::describe(thread, status, digest) };
        self.renew_thread();
        reply.error_bytes(&text);
        RunEnd::Raised
    }

    /// A new thread for the scripts to come: one that ended with an error cannot be used again.
    fn renew_thread(&self) {
        let _lifted = self.room().memory.lift();
        // SAFETY: the limit is lifted; the slot is one of ours.
        unsafe {
            lua_settop(self.main, slots::COUNT);
            let thread = lua_newthread(self.main);
            lua_replace(self.main, slots::THREAD);
            self.room().script_thread.set(thread);
        }
    }

    /// Before a run: collects everything when half of the memory is in use, so that garbage of earlier scripts does not make this one
    /// fail. LuaJIT does not collect when an allocation is refused.
    fn make_space(&mut self) {
        let memory = &self.room().memory;
        let used_bytes = memory.used_bytes();
        if used_bytes > memory.limit_bytes() / 2 && used_bytes > self.floor_bytes + self.floor_bytes / 2 {
            self.collect();
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: nothing of the VM is on any stack; the room is freed after the VM that uses it.
        unsafe {
            self.room().memory.set_lifted(true);
            lua_close(self.main);
            drop(Box::from_raw(self.room.as_ptr()));
        }
    }
}

/// Makes a list of strings the value of a global of all scripts.
unsafe fn set_global_list(l: *mut lua_State, name: c_int, values: &[&[u8]]) {
    // SAFETY: the main thread has 20 free slots above its constants, and the limit is lifted.
    unsafe {
        lua_pushvalue(l, name);
        lua_createtable(l, values.len() as c_int, 0);
        for (index, value) in (1..).zip(values) {
            push_bytes(l, value);
            lua_rawseti_(l, -2, index);
        }
        lua_rawset(l, slots::GLOBALS);
    }
}

/// Opens the libraries and builds the sandbox; runs protected.
unsafe extern "C-unwind" fn build(l: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned here.
    unsafe {
        let libraries: [lua_CFunction; 7] =
            [luaopen_base, luaopen_table, luaopen_string, luaopen_math, luaopen_bit, luaopen_os, luaopen_jit];
        for library in libraries {
            lua_pushcfunction(l, library);
            lua_call(l, 0, 0);
        }
        if luaL_loadbuffer(l, SANDBOX.as_ptr().cast(), SANDBOX.len(), c"=sandbox".as_ptr()) != LUA_OK {
            lua_error(l);
        }
        lua_createtable(l, 0, 32);
        for (name, function) in api::REDIS_FUNCTIONS {
            lua_pushcfunction(l, function);
            lua_setfield(l, -2, name.as_ptr());
        }
        for (name, number) in api::REDIS_NUMBERS {
            lua_pushnumber(l, number);
            lua_setfield(l, -2, name.as_ptr());
        }
        lua_pushstring_(l, api::REDIS_VERSION.as_ptr());
        lua_setfield(l, -2, c"REDIS_VERSION".as_ptr());
        let functions: [lua_CFunction; 7] = [
            api::assigned_to_locked,
            api::refused_by_locked,
            api::missing_global,
            api::random,
            api::random_seed,
            api::coroutine_running,
            api::coroutine_yield,
        ];
        for function in functions {
            lua_pushcfunction(l, function);
        }
        lua_createtable(l, 0, LIBRARIES.len() as c_int);
        for (library, functions) in LIBRARIES {
            lua_createtable(l, 0, functions.len() as c_int);
            for (name, function) in functions {
                lua_pushcfunction(l, *function);
                lua_setfield(l, -2, name.as_ptr());
            }
            lua_setfield(l, -2, library.as_ptr());
        }
        lua_call(l, 9, 2);
        lua_setfield(l, LUA_REGISTRYINDEX, slots::CONTENTS_NAME.as_ptr());
        lua_replace(l, LUA_GLOBALSINDEX);
    }
    0
}
