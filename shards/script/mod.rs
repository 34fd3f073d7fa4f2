//! The Lua room: VMs, the sandbox, and the `redis.*` functions. It knows a callback into the shard, not commands.

mod api;
mod chunk;
mod cleaning;
mod convert;
mod encoded;
mod engine;
mod failure;
#[cfg(test)]
mod fake_host;
mod fiber;
#[cfg(test)]
mod function_tests;
mod functions;
#[cfg(test)]
mod fuzz_author;
#[cfg(test)]
mod fuzz_tests;
mod host;
mod interrupt;
mod libraries;
mod loading;
mod lua;
mod lua_reply;
mod memory;
mod metadata;
mod nesting;
mod number;
#[cfg(test)]
mod oracle_tests;
mod pool;
mod random;
mod registration;
mod room;
mod sandbox;
#[cfg(test)]
mod script_tests;
mod self_test;
mod shell;
mod slice;
#[cfg(test)]
mod slice_tests;
mod slots;
mod source;
mod tail_calls;
mod vm;
mod work;

pub use engine::{NO_SCRIPT, RunId, Script, ScriptEnd, ScriptEngine, ScriptError, ScriptLimits, TOO_LONG};
pub use functions::{Callable, Function, Library, NewLibraries};
pub use host::{CallEnd, LogLevel, ScriptHost};
pub use interrupt::{Interrupt, SliceTimer, TICKS_PER_SLICE};
pub use self_test::proves_hooks_fire_in_compiled_loops;
pub use source::{DIGEST_BYTES, Running, ScriptDigest, ScriptFlags};
