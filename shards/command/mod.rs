//! Redis semantics: one table of commands, one file per family.

mod bits;
mod call;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod expiry;
mod failure;
mod key;
mod scan;
mod string;
mod table;
#[cfg(test)]
mod testing;

pub use call::{Arguments, Call, Entropy};
pub use command::{Command, Join, KeyPositions, Keys, Run, ShardHandler, flag};
pub use failure::Failure;
pub use table::{all, find, find_subcommand};
