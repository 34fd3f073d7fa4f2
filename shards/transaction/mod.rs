//! Transactions: EXEC and scripts over one shard.

mod context;
mod contexts;
mod exec;
mod script;

pub(crate) use context::{Context, Waits};
pub use context::{ContextInfo, StopReason};
pub(crate) use contexts::Contexts;
pub(crate) use exec::{ExecEnd, ExecFrom, run_exec};
pub(crate) use script::{Halt, Host, ScriptState, is_kept_out};
