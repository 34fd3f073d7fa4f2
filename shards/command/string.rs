//! Strings: the commands that read and write whole values.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::reply::ReplySink;

/// `GET key`.
pub fn get(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match call.string(arguments[1])? {
        Some(bytes) => reply.bulk(&bytes),
        None => reply.null(),
    }
    Ok(())
}

/// `SET key value`.
pub fn set(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    call.put(arguments[1], arguments.value(2), 0);
    reply.ok();
    Ok(())
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: Keys::FIRST,
        run: Run::Shard(get),
        subcommands: &[],
    },
    Command {
        name: "set",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: Keys::FIRST,
        run: Run::Shard(set),
        subcommands: &[],
    },
];
