//! One LuaJIT VM: made, locked, and running one script at a time.

use super::chunk::Chunk;
use super::cleaning::Cleaning;
use super::convert::write_value;
use super::failure;
use super::fiber::{Fiber, Left};
use super::functions::Callbacks;
use super::host::ScriptHost;
use super::interrupt::Interrupt;
use super::libraries;
use super::lua::*;
use super::memory::{Memory, allocate};
use super::random::Random;
use super::room::{AtSliceEnd, Ending, Room};
use super::sandbox;
use super::slots;
use super::source::{Running, ScriptDigest};
use crate::limits::SCRIPT_ARGUMENTS_MAX;
use crate::reply::{Discarded, Protocol, ReplySink};
use std::mem::ManuallyDrop;
use std::os::raw::c_int;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::rc::Rc;

/// What a run calls.
#[derive(Clone, Debug)]
pub(super) enum Callee {
    /// A script: it finds keys and arguments in globals.
    Script(Chunk, ScriptDigest),
    /// A library's callback, with the function's name: it is given keys and arguments.
    Function(Chunk, Rc<[u8]>),
}

impl Callee {
    /// What errors call it.
    fn name(&self) -> &[u8] {
        match self {
            Callee::Script(_, digest) => digest.as_bytes(),
            Callee::Function(_, name) => name,
        }
    }
}

/// How a run ended, as the VM sees it, or that it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RunEnd {
    /// The result is in the reply.
    Done,
    /// Its result is longer than a reply may be; what is in the reply is void.
    TooLong,
    /// The error is in the reply.
    Raised,
    /// It was stopped, by [`Vm::stop`] or its own bounds; the error is in the reply.
    Stopped,
    /// The host abandoned it; nothing is in the reply.
    Abandoned,
    /// It is set aside; nothing is in the reply.
    Aside,
}

/// A VM. It stays on its thread: it is neither `Send` nor `Sync`.
pub(super) struct Vm {
    main: *mut lua_State,
    room: NonNull<Room>,
    fiber: ManuallyDrop<Fiber>,
    pub(super) cleaning: Cleaning,
    run: Run,
    /// Its memory ran out, or a run was taken down in it: nobody knows what state its libraries are in.
    pub(super) is_spent: bool,
    /// Those of the libraries that were loaded in it.
    pub(super) callbacks: Callbacks,
}

/// The run under way.
struct Run {
    /// None before the first one.
    callee: Option<Callee>,
    /// The random numbers before it: a run that is repeated gets the same ones.
    random: Random,
    is_aside: bool,
    /// The error that it has ended with, if a call was answered with it.
    passed_on: Option<Vec<u8>>,
}

impl Vm {
    /// A VM with the sandbox built. The error says what failed.
    pub(super) fn new(memory: Memory, slicer: Interrupt) -> Result<Self, String> {
        let room = NonNull::from(Box::leak(Box::new(Room::new(memory, slicer))));
        // SAFETY: the room outlives the fiber; see `Drop`.
        let fiber = Fiber::new(move |exit| unsafe { room.as_ref() }.set_exit(exit));
        let fiber = match fiber {
            Ok(fiber) => ManuallyDrop::new(fiber),
            Err(error) => {
                // SAFETY: nobody else has it.
                drop(unsafe { Box::from_raw(room.as_ptr()) });
                return Err(error);
            }
        };
        // SAFETY: the room outlives the VM: `Drop` closes the VM first. The layout of `Room` starts with its `Memory`.
        unsafe {
            let user = room.cast::<Memory>();
            user.as_ref().begins();
            let main = lua_newstate(allocate, user.as_ptr().cast());
            if main.is_null() {
                drop(ManuallyDrop::into_inner(fiber));
                drop(Box::from_raw(room.as_ptr()));
                return Err("no memory for a Lua VM".into());
            }
            let run = Run { callee: None, random: Random::default(), is_aside: false, passed_on: None };
            let mut vm = Vm {
                main,
                room,
                fiber,
                cleaning: Cleaning::default(),
                run,
                is_spent: false,
                callbacks: Callbacks::default(),
            };
            if lua_cpcall(main, sandbox::build, std::ptr::null_mut()) != LUA_OK {
                return Err(format!("the Lua sandbox: {}", String::from_utf8_lossy(string_at(main, -1))));
            }
            slots::fill(main);
            vm.renew_thread();
            lua_gc(main, LUA_GCCOLLECT, 0);
            vm.measure_floor();
            vm.room().memory.belongs_to(main);
            vm.room().memory.set_lifted(false);
            vm.room().memory.rest(main);
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

    /// Runs a script or a function and writes its result, or its error, to `reply`, unless it is set aside.
    pub(super) fn run(
        &mut self,
        callee: Callee,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        host: &mut dyn ScriptHost,
        reply: &mut dyn ReplySink,
    ) -> RunEnd {
        assert!(!self.run.is_aside, "a VM runs one script at a time");
        if keys.len().max(arguments.len()) > SCRIPT_ARGUMENTS_MAX {
            reply.error("ERR too many arguments for a script");
            return RunEnd::Raised;
        }
        let main = self.main;
        let thread = self.room().script_thread.get();
        self.room().protocol.set(Protocol::Resp2);
        self.room().ending.set(Ending::Open);
        libraries::reset(self.room());
        self.room().nesting.clear(&self.room().memory);
        self.room().at_slice_end.set(AtSliceEnd::Aside);
        self.room().stopped_line.set(0);
        self.room().has_raised_in_hook.set(false);
        // SAFETY: the limit is lifted.
        unsafe {
            let _lifted = self.room().memory.lift();
            lua_settop(main, slots::COUNT);
            match callee {
                Callee::Script(chunk, _) => {
                    set_global_list(main, slots::KEYS, keys);
                    set_global_list(main, slots::ARGV, arguments);
                    chunk.push(thread);
                }
                Callee::Function(callback, _) => {
                    self.clear_global_lists();
                    callback.push(thread);
                    push_list(thread, keys);
                    push_list(thread, arguments);
                }
            }
        }
        self.run = Run { callee: Some(callee), random: self.room().random.get(), is_aside: false, passed_on: None };
        host.expect(keys);
        self.go_on(host, reply)
    }

    /// Lets the run that was set aside go on.
    pub(super) fn go_on(&mut self, host: &mut dyn ScriptHost, reply: &mut dyn ReplySink) -> RunEnd {
        let end = self.slice(Some(&mut *host), reply);
        if let Some(error) = self.run.passed_on.take() {
            host.passed_on(&error);
        }
        end
    }

    /// Takes the run down that was set aside. With a text, that is the error that its client reads; without one nothing is said.
    pub(super) fn stop(&mut self, text: Option<&'static str>, reply: &mut dyn ReplySink) -> RunEnd {
        assert!(self.run.is_aside, "a run is stopped that was set aside");
        self.room().ending.set(text.map_or(Ending::Abandoned, Ending::Stopped));
        // Everything raises from here on, so that there is nothing to ask a host for, and no way to be set aside again: it ends.
        let end = self.slice(None, reply);
        assert!(end != RunEnd::Aside, "a run that is stopped ends");
        end
    }

    /// Where the random numbers of its next run begin.
    pub(super) fn set_random(&self, random: Random) {
        self.room().random.set(random);
    }

    /// Where they are.
    pub(super) fn random(&self) -> Random {
        self.room().random.get()
    }

    /// Whether a run of it is set aside.
    pub(super) fn is_aside(&self) -> bool {
        self.run.is_aside
    }

    /// What runs, or ran last.
    pub(super) fn running(&self) -> Option<Running> {
        self.run.callee.as_ref().map(|callee| match callee {
            Callee::Script(_, digest) => Running::Script(*digest),
            Callee::Function(_, name) => Running::Function(name[..].into()),
        })
    }

    /// Whether it is better thrown away than used again.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Lets the run go on for a slice; what it ends with is written to `reply`.
    fn slice(&mut self, host: Option<&mut dyn ScriptHost>, reply: &mut dyn ReplySink) -> RunEnd {
        let (main, thread) = (self.main, self.room().script_thread.get());
        let left = {
            // SAFETY: it lives until the VM is dropped; only shared references to it are made.
            let room = unsafe { self.room.as_ref() };
            let _host = host.map(|host| room.lend(host));
            room.slicer.enter(main);
            let left = if self.run.is_aside { self.fiber.go_on() } else { self.fiber.run(thread) };
            room.slicer.leave(main);
            left
        };
        let Left::Ended(status) = left else {
            self.run.is_aside = true;
            return RunEnd::Aside;
        };
        self.run.is_aside = false;
        // SAFETY: it lives until the VM is dropped.
        let room = unsafe { self.room.as_ref() };
        room.nesting.clear(&room.memory);
        let _lifted = room.memory.lift();
        let ending = room.ending.get();
        if ending == Ending::Open && status == LUA_OK {
            // SAFETY: the thread has ended; its results are what is on its stack. The limit is lifted.
            unsafe {
                lua_settop(thread, 1);
                lua_xmove(thread, main, 1);
                self.run.passed_on = failure::counted(main);
                if !write_value(main, room.protocol.get(), reply) {
                    lua_settop(main, slots::COUNT);
                    return RunEnd::TooLong;
                }
            }
            room.memory.rest(main);
            return RunEnd::Done;
        }
        if ending != Ending::Open {
            // SAFETY: the limit is lifted.
            unsafe { lua_sethook(main, None, 0, 0) };
        }
        if let Some(payload) = room.take_panic() {
            self.renew_thread();
            self.is_spent = true;
            resume_unwind(payload);
        }
        if ending == Ending::Abandoned {
            self.renew_thread();
            room.random.set(self.run.random);
            return RunEnd::Abandoned;
        }
        self.is_spent |= status == LUA_ERRMEM || ending != Ending::Open;
        if status != LUA_ERRMEM {
            // SAFETY: the error is on top of the thread, which has slots to spare; the limit is lifted.
            self.run.passed_on = unsafe { failure::counted(thread) };
        }
        // SAFETY: the thread stands where it raised.
        let text = unsafe {
            failure::describe(
                thread,
                status,
                self.run.callee.as_ref().map_or(b"", Callee::name),
                room.stopped_line.get(),
                ending != Ending::Open,
            )
        };
        self.renew_thread();
        reply.error_bytes(&text);
        if ending == Ending::Open { RunEnd::Raised } else { RunEnd::Stopped }
    }

    /// Runs the text of a library, which is never set aside, on the stack of runs; Lua's status.
    pub(super) fn run_load(&mut self, thread: *mut lua_State, host: &mut dyn ScriptHost) -> c_int {
        // SAFETY: it lives until the VM is dropped; only shared references to it are made.
        let room = unsafe { self.room.as_ref() };
        room.nesting.clear(&room.memory);
        let left = {
            let _host = room.lend(host);
            self.fiber.run(thread)
        };
        room.nesting.clear(&room.memory);
        match left {
            Left::Ended(status) => status,
            Left::Aside => panic!("a load goes on until it ends"),
        }
    }

    /// A new thread for the scripts to come: one that ended with an error cannot be used again.
    pub(super) fn renew_thread(&self) {
        let _lifted = self.room().memory.lift();
        // SAFETY: the limit is lifted; the slot is one of ours.
        unsafe {
            lua_settop(self.main, slots::COUNT);
            let thread = lua_newthread(self.main);
            lua_replace(self.main, slots::THREAD);
            self.room().script_thread.set(thread);
        }
    }

    /// No script's keys and arguments are left in the globals.
    ///
    /// # Safety
    /// The limit is lifted and nothing runs.
    pub(super) unsafe fn clear_global_lists(&self) {
        let main = self.main;
        // SAFETY: see above; the main thread has free slots above its constants.
        unsafe {
            lua_settop(main, slots::COUNT);
            for name in [slots::KEYS, slots::ARGV] {
                lua_pushvalue(main, name);
                lua_pushnil(main);
                lua_rawset(main, slots::GLOBALS);
            }
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if self.run.is_aside {
            self.stop(None, &mut Discarded);
        }
        // SAFETY: nothing of the VM is on any stack once its fiber has ended; the room is freed after what uses it.
        unsafe {
            ManuallyDrop::drop(&mut self.fiber);
            self.room().memory.set_lifted(true);
            lua_close(self.main);
            self.room().memory.close();
            drop(Box::from_raw(self.room.as_ptr()));
        }
    }
}

/// Makes a list of strings the value of a global of all scripts.
unsafe fn set_global_list(l: *mut lua_State, name: c_int, values: &[&[u8]]) {
    // SAFETY: the main thread has 20 free slots above its constants, and the limit is lifted.
    unsafe {
        lua_pushvalue(l, name);
        push_list(l, values);
        lua_rawset(l, slots::GLOBALS);
    }
}

unsafe fn push_list(l: *mut lua_State, values: &[&[u8]]) {
    // SAFETY: the callers have three free slots, and the limit is lifted.
    unsafe {
        lua_createtable(l, values.len() as c_int, 0);
        for (index, value) in (1..).zip(values) {
            push_bytes(l, value);
            lua_rawseti_(l, -2, index);
        }
    }
}
