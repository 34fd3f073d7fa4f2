//! Transactions: EXEC and scripts over one shard.

mod exec;
mod script;

pub(crate) use exec::run_exec;
pub(crate) use script::{Dropped, Host};
