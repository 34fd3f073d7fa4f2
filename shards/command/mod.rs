//! Redis semantics: one table of commands, one file per family.

mod bits;
mod call;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod connection;
mod expiry;
mod failure;
mod key;
mod scan;
mod session;
mod string;
mod table;

pub use call::{Arguments, Call, Entropy};
pub use command::{Command, Join, KeyPositions, Keys, Run, ShardHandler, flag};
pub use connection::run_on_connection;
pub use failure::Failure;
pub use session::{Admission, Door, Queue, ReplyMode, Session};
pub use table::{all, find, find_subcommand};
