//! Scripts and functions: the rows of EVAL, FCALL and their kin. The shard runs them.

use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::keyspace::canonical_integer;

/// The parts of an EVAL's arguments.
pub(crate) struct Evaluation<'a> {
    /// The script's text or digest.
    pub(crate) script: &'a [u8],
    /// KEYS.
    pub(crate) keys: &'a [&'a [u8]],
    /// ARGV.
    pub(crate) arguments: &'a [&'a [u8]],
}

impl<'a> Evaluation<'a> {
    /// Reads `EVAL script numkeys key... argument...`.
    ///
    /// # Errors
    /// The number of keys is none, or does not fit.
    pub(crate) fn read(list: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let count = canonical_integer(list[2]).ok_or(Failure::NotInteger)?;
        if count > list.len() as i64 - 3 {
            return Err(Failure::text("ERR Number of keys can't be greater than number of args"));
        }
        if count < 0 {
            return Err(Failure::text("ERR Number of keys can't be negative"));
        }
        let (keys, arguments) = list[3..].split_at(count as usize);
        Ok(Evaluation { script: list[1], keys, arguments })
    }
}

/// The parts of an FCALL's arguments.
pub(crate) struct FunctionCall<'a> {
    /// The keys.
    pub(crate) keys: &'a [&'a [u8]],
    /// The arguments.
    pub(crate) arguments: &'a [&'a [u8]],
}

impl<'a> FunctionCall<'a> {
    /// Reads `FCALL function numkeys key... argument...`, but for the function's name.
    ///
    /// # Errors
    /// The number of keys is none, or does not fit.
    pub(crate) fn read(list: &'a [&'a [u8]]) -> Result<Self, Failure> {
        match Evaluation::read(list) {
            Ok(Evaluation { keys, arguments, .. }) => Ok(FunctionCall { keys, arguments }),
            Err(Failure::NotInteger) => Err(Failure::text("ERR Bad number of keys provided")),
            Err(failure) => Err(failure),
        }
    }
}

const EVAL: u32 = flag::NOSCRIPT
    | flag::SKIP_MONITOR
    | flag::MAY_REPLICATE
    | flag::NO_MANDATORY_KEYS
    | flag::STALE
    | flag::MOVABLEKEYS;
const EVAL_RO: u32 =
    flag::READONLY | flag::NOSCRIPT | flag::SKIP_MONITOR | flag::NO_MANDATORY_KEYS | flag::STALE | flag::MOVABLEKEYS;

const fn row(name: &'static str, flags: u32) -> Command {
    Command { name, arity: -3, flags, keys: Keys::Counted { count: 2 }, run: Run::Script, subcommands: &[] }
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("eval", EVAL),
    row("evalsha", EVAL),
    row("eval_ro", EVAL_RO),
    row("evalsha_ro", EVAL_RO),
    row("fcall", EVAL),
    row("fcall_ro", EVAL_RO),
];

/// The rows of this family as a shard's own port has them.
pub(crate) static COMMANDS_AT_SHARD_PORT: [Command; 6] = [
    row("eval", EVAL | flag::AT_SHARD_PORT),
    row("evalsha", EVAL | flag::AT_SHARD_PORT),
    row("eval_ro", EVAL_RO | flag::AT_SHARD_PORT),
    row("evalsha_ro", EVAL_RO | flag::AT_SHARD_PORT),
    row("fcall", EVAL | flag::AT_SHARD_PORT),
    row("fcall_ro", EVAL_RO | flag::AT_SHARD_PORT),
];
