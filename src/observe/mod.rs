//! What operators look at and set: INFO, CONFIG, SLOWLOG, LATENCY, MEMORY, SCRIPT, DEBUG, the end of the process.

mod calls;
mod checkpoint;
mod config_command;
mod debug;
mod dispatch;
mod facts;
mod function_command;
mod graph;
mod info;
mod info_sections;
mod laps;
mod latency;
mod latency_command;
mod memory;
mod observed;
mod process;
mod rates;
mod script_command;
mod secrets;
mod shutdown;
mod slowlog;
mod slowlog_command;
#[cfg(test)]
pub(crate) mod testing;

pub use calls::{CallBook, CallEnd, CallStats, LARGE_REPLY_BYTES_MIN, RowId, is_quick};
pub use facts::{CoreFacts, ShardFacts};
pub use laps::Laps;
pub use latency::{LatencyMonitor, Spike};
pub use observed::Observed;
pub use rates::Rates;
pub use secrets::without_secrets;
pub use slowlog::{SlowCall, SlowLog, cut_arguments};
