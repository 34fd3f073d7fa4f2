//! Texts compiled in a VM, and the functions that it keeps.

use super::lua::*;
use super::slots;
use super::source::is_skipped;
use super::vm::Vm;
use std::ffi::CStr;
use std::os::raw::c_int;

/// A function of one VM, a compiled chunk or a library's callback: its number in that VM's registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk(c_int);

impl Chunk {
    /// Keeps the function on top of the stack, which is popped.
    ///
    /// # Safety
    /// `l` is a live thread of the VM, with the limit lifted.
    pub(super) unsafe fn keep(l: *mut lua_State) -> Self {
        // SAFETY: see above.
        Chunk(unsafe { luaL_ref(l, LUA_REGISTRYINDEX) })
    }

    /// Pushes the function.
    ///
    /// # Safety
    /// As for [`Chunk::keep`]; a slot is free, and the function was not released.
    pub(super) unsafe fn push(self, l: *mut lua_State) {
        // SAFETY: see above.
        unsafe { lua_rawgeti_(l, LUA_REGISTRYINDEX, self.0) };
    }
}

/// Why a text did not compile.
pub(super) enum CompileError {
    /// The message of Lua's parser.
    Syntax(Vec<u8>),
    /// The VM's memory limit.
    Memory,
}

impl Vm {
    /// Compiles a text (no bytecode) and keeps the function. Errors call the text `name`.
    pub(super) fn compile(&mut self, text: &[u8], name: &CStr) -> Result<Chunk, CompileError> {
        if text.starts_with(&LUA_SIGNATURE[..1]) {
            return Err(CompileError::Syntax(b"attempt to load chunk with wrong mode".to_vec()));
        }
        // A first line with a # is none to LuaJIT, since files may have one. Redis's Lua reads no files.
        let spaced: Vec<u8>;
        let text = if is_skipped(text) {
            spaced = [b" ", text].concat();
            &spaced
        } else {
            text
        };
        match self.try_compile(text, name) {
            Err(CompileError::Memory) => {
                self.collect();
                self.try_compile(text, name)
            }
            result => result,
        }
    }

    fn try_compile(&mut self, text: &[u8], name: &CStr) -> Result<Chunk, CompileError> {
        let l = self.state();
        // SAFETY: `luaL_loadbuffer` is protected by itself; the rest runs with the limit lifted.
        unsafe {
            lua_settop(l, slots::COUNT);
            let status = luaL_loadbuffer(l, text.as_ptr().cast(), text.len(), name.as_ptr());
            let _lifted = self.room().memory.lift();
            match status {
                LUA_OK => Ok(Chunk::keep(l)),
                LUA_ERRMEM => Err(CompileError::Memory),
                _ => Err(CompileError::Syntax(string_at(l, -1).to_vec())),
            }
        }
    }

    /// Forgets a compiled function.
    pub(super) fn release(&mut self, chunk: Chunk) {
        let _lifted = self.room().memory.lift();
        // SAFETY: the limit is lifted.
        unsafe { luaL_unref(self.state(), LUA_REGISTRYINDEX, chunk.0) };
    }
}
