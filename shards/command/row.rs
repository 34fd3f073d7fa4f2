//! Rows of the command table in one line each.

use crate::command::command::{Command, Keys, Run};

/// A command without subcommands.
pub(super) const fn row(name: &'static str, arity: i16, flags: u32, keys: Keys, run: Run) -> Command {
    Command { name, arity, flags, keys, run, subcommands: &[] }
}

/// A command that only its subcommands run.
pub(super) const fn container(name: &'static str, subcommands: &'static [Command]) -> Command {
    Command { name, arity: -2, flags: 0, keys: Keys::None, run: Run::Container, subcommands }
}
