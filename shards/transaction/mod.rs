//! Transactions: EXEC and scripts over one shard.

mod exec;

pub(crate) use exec::run_exec;
