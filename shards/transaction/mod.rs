//! Transactions: EXEC and scripts over one shard.

mod contexts;
mod exec;
mod script;

pub(crate) use contexts::{Context, Contexts, Waits};
pub use contexts::{ContextInfo, StopReason};
pub(crate) use exec::{ExecEnd, ExecFrom, run_exec};
pub(crate) use script::{Halt, Host, ScriptState, is_kept_out};
