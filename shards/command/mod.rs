//! Redis semantics: one table of commands, one file per family.

mod bits;
mod call;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod connection;
mod cursor;
mod describe;
mod expiry;
mod failure;
mod help;
mod key;
mod object;
mod row;
mod scan;
mod session;
mod string;
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
pub use session::{Admission, Door, Queue, ReplyMode, Session};
pub use table::{all, find, find_subcommand};
