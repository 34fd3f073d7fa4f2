//! Redis semantics: one table of commands, one file per family.

mod bit_offset;
mod bit_range;
mod bitfield;
mod bits;
mod call;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod command;
mod common;
mod counter;
mod expiry;
mod extended;
mod failure;
mod field;
mod key;
mod lcs;
mod multi_string;
mod natural;
mod range;
mod scan;
mod string;
mod string_options;
mod table;
#[cfg(test)]
mod testing;

pub use call::{Arguments, Call, Entropy};
pub use command::{Command, Join, KeyPositions, Keys, Run, ShardHandler, flag};
pub use failure::Failure;
pub use table::{all, find, find_subcommand};
