//! Redis semantics: one table of commands, one file per family.

mod bit_offset;
mod bit_range;
mod bitfield;
mod bits;
mod call;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod common;
mod connection;
mod counter;
mod cursor;
mod describe;
mod expiry;
mod extended;
mod failure;
mod field;
mod help;
mod key;
mod lcs;
mod multi_string;
mod natural;
mod object;
mod range;
mod row;
mod scan;
mod server;
mod session;
mod string;
mod string_options;
mod table;
#[cfg(test)]
mod testing;

pub use call::{Arguments, Call, Entropy};
pub use command::{Command, Join, KeyPositions, Keys, Run, ShardHandler, flag};
pub use connection::run_on_connection;
pub use cursor::{CURSOR_SHARDS_MAX, Cursor};
pub use describe::{categories, command as run_command};
pub use failure::Failure;
pub use help::write as write_help;
pub use object::MEMORY_USAGE;
pub use scan::scan_within;
pub use server::DEBUG_OBJECT;
pub use session::{Admission, Door, Queue, ReplyMode, Session};
pub use table::{all, find, find_subcommand};
