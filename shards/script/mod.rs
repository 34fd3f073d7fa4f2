//! The Lua room: VMs, the sandbox, and the `redis.*` functions. It knows a callback into the shard, not commands.

mod api;
mod convert;
mod encoded;
#[cfg(test)]
mod fake_host;
mod engine;
mod failure;
mod host;
mod lua;
mod lua_reply;
mod memory;
mod number;
mod random;
mod room;
#[cfg(test)]
mod script_tests;
mod slots;
mod source;
mod tail_calls;
mod vm;

pub use engine::{NO_SCRIPT, Script, ScriptEnd, ScriptEngine, ScriptError, ScriptLimits};
pub use host::{CallEnd, LogLevel, ScriptHost};
pub use source::{DIGEST_BYTES, ScriptDigest, ScriptFlags};
