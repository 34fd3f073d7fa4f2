//! Redis semantics: one table of commands, one file per family.

mod authentication;
mod bit_offset;
mod bit_range;
mod bitfield;
mod bits;
mod call;
mod client;
mod client_filter;
mod cluster;
mod cluster_keys;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod common;
mod connection;
#[cfg(test)]
mod connection_tests;
mod counter;
mod cursor;
mod describe;
mod expiry;
mod extended;
mod failure;
mod field;
mod functions;
mod hello;
mod help;
mod host;
mod key;
mod lcs;
mod modules;
mod multi_string;
mod natural;
mod object;
mod payload;
mod range;
mod row;
mod scan;
mod script;
mod script_calls;
mod server;
mod session;
mod shard_port;
mod string;
mod string_options;
mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use call::{Arguments, Call, Entropy};
pub use client::client_line;
pub use client_filter::{ClientFilter, ClientKind, KilledClients, ListedClients};
pub use cluster::{CLUSTER_DISABLED, node_id};
pub use command::{Command, Join, KeyPositions, Keys, Run, ShardHandler, counts_lookups, flag};
pub(crate) use connection::{database, wait};
pub use connection::{run_on_connection, timeout_ms};
pub use cursor::{CURSOR_SHARDS_MAX, Cursor};
pub use describe::{categories, command as run_command};
pub use failure::{Failure, error_code};
pub(crate) use functions::{
    List as FunctionList, Load as FunctionLoad, RestorePolicy, TOO_MUCH as TOO_MANY_LIBRARIES,
    check_flush as check_function_flush,
};
pub use hello::REDIS_VERSION;
pub use help::write as write_help;
pub use host::{ClientFacts, ConnectionHost, Endpoint, PreferredEndpoint};
pub use object::MEMORY_USAGE;
pub(crate) use payload::{dump as dump_libraries, restore as restore_libraries};
pub use scan::scan_within;
pub(crate) use script::{Evaluation, FunctionCall};
pub use script_calls::{CallCount, RecordedCall, ScriptCalls};
pub use server::DEBUG_OBJECT;
pub use session::{Admission, Door, Queue, ReplyMode, Session};
pub use shard_port::at_shard_port;
pub use table::{all, find, find_subcommand};
