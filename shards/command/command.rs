//! A command as a row: its name, its form, where its keys are, where it runs and what runs it.

use crate::command::call::{Arguments, Call};
use crate::command::failure::Failure;
use crate::reply::ReplySink;

/// Runs a command in a shard. A failure is written as the reply by whoever called; what was written to the keyspace before a failure stays
/// (as in Redis: handlers check first), but for [`Failure::Cold`], which is undone and run again.
pub type ShardHandler = fn(&mut Call<'_>, Arguments<'_>, &mut dyn ReplySink) -> Result<(), Failure>;

/// A row of the command table.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower case; a subcommand's has its container's in front (`object|encoding`).
    pub name: &'static str,
    /// The number of arguments with the name, or its negative as a minimum.
    pub arity: i16,
    /// See [`flag`].
    pub flags: u32,
    /// Where the keys are.
    pub keys: Keys,
    /// What runs it, and where.
    pub run: Run,
    /// The subcommands of a container.
    pub subcommands: &'static [Command],
}

/// Bits of [`Command::flags`]; names and meaning as COMMAND INFO has them.
pub mod flag {
    /// May change keys.
    pub const WRITE: u32 = 1 << 0;
    /// Only reads keys.
    pub const READONLY: u32 = 1 << 1;
    /// Refused over `maxmemory`.
    pub const DENYOOM: u32 = 1 << 2;
    /// For operators.
    pub const ADMIN: u32 = 1 << 3;
    /// Publish and subscribe.
    pub const PUBSUB: u32 = 1 << 4;
    /// Not in scripts.
    pub const NOSCRIPT: u32 = 1 << 5;
    /// May wait.
    pub const BLOCKING: u32 = 1 << 6;
    /// Runs while data is loaded.
    pub const LOADING: u32 = 1 << 7;
    /// Runs on a stale replica.
    pub const STALE: u32 = 1 << 8;
    /// Not in MONITOR.
    pub const SKIP_MONITOR: u32 = 1 << 9;
    /// Not in SLOWLOG.
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    /// Asking (cluster).
    pub const ASKING: u32 = 1 << 11;
    /// Constant or logarithmic time.
    pub const FAST: u32 = 1 << 12;
    /// Runs before AUTH.
    pub const NO_AUTH: u32 = 1 << 13;
    /// May replicate although it is not a write.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    /// Keys are found by looking at the arguments.
    pub const MOVABLEKEYS: u32 = 1 << 15;
    /// Not inside MULTI.
    pub const NO_MULTI: u32 = 1 << 16;
    /// Not by asynchronous loading.
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    /// Runs while a script is busy.
    pub const ALLOW_BUSY: u32 = 1 << 18;
    /// Not in the list of mandatory keys.
    pub const NO_MANDATORY_KEYS: u32 = 1 << 19;
    /// Not replicated in scripts (kept for COMMAND's sake).
    pub const RANDOM: u32 = 1 << 20;
    /// A script that came in at a shard's own port: there is one database, and whole-keyspace commands cover that shard. Ours alone,
    /// COMMAND INFO does not show it.
    pub const AT_SHARD_PORT: u32 = 1 << 21;
}

/// Where the keys are among the arguments (the name is argument 0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// There are none.
    None,
    /// From `first` to `last` (negative: from the end), each `step`th.
    Range {
        /// The first key's position.
        first: i16,
        /// The last key's position; -1 is the last argument.
        last: i16,
        /// The distance from key to key.
        step: i16,
    },
    /// A number at `count` says how many keys follow it (EVAL).
    Counted {
        /// The number's position.
        count: i16,
    },
}

impl Keys {
    /// One key, right after the name.
    pub const FIRST: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// All arguments.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };
    /// Keys and values alternately.
    pub const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
    /// The first two arguments.
    pub const FIRST_TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };
}

/// How the answers of several shards become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// The integers are added up.
    Sum,
    /// The elements stand in the order of the keys.
    Interleave,
    /// `OK`, or the first error.
    AllOk,
    /// The arrays, one after the other.
    Concat,
}

/// What runs a command, and where.
#[derive(Clone, Copy)]
pub enum Run {
    /// In the shard that owns its keys (any shard, if it has none); keys of several shards: CROSSSLOT.
    Shard(ShardHandler),
    /// In every shard that owns some of its keys, each with its own.
    PerKey(ShardHandler, Join),
    /// In every shard.
    EveryShard(ShardHandler, Join),
    /// One shard after the other, by a cursor or by chance: SCAN, RANDOMKEY. The handler works on one shard.
    Walk(ShardHandler),
    /// A script: EVAL and its kin.
    Script,
    /// What concerns libraries of functions: the first shard, whose copies the others keep.
    Library,
    /// The connection itself: transactions, protocol, its own names.
    Connection,
    /// The node: every core is asked, or none.
    Node,
    /// Only its subcommands run.
    Container,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Command {
    /// A row without subcommands.
    pub const fn row(name: &'static str, arity: i16, flags: u32, keys: Keys, run: Run) -> Self {
        Command { name, arity, flags, keys, run, subcommands: &[] }
    }

    /// Whether the command has this flag (or one of these).
    #[inline]
    pub fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether that many arguments, with the name, fit.
    #[inline]
    pub fn arity_fits(&self, arguments: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity >= 0 { arguments == arity } else { arguments >= arity }
    }

    /// The positions of the keys.
    ///
    /// # Errors
    /// None if a count of keys is not a number or does not fit.
    pub fn key_positions(&self, arguments: &[&[u8]]) -> Option<KeyPositions> {
        let none = KeyPositions { next: 1, last: 0, step: 1 };
        match self.keys {
            Keys::None => Some(none),
            Keys::Range { first, last, step } => {
                let last =
                    if last < 0 { arguments.len().checked_add_signed(isize::from(last))? } else { last as usize };
                let last = last.min(arguments.len().saturating_sub(1));
                Some(KeyPositions { next: first as usize, last, step: step as usize })
            }
            Keys::Counted { count } => {
                let number = crate::keyspace::canonical_integer(arguments.get(count as usize)?)?;
                let number = usize::try_from(number).ok()?;
                let last = number.checked_add(count as usize)?;
                if last >= arguments.len() {
                    return None;
                }
                Some(KeyPositions { next: count as usize + 1, last, step: 1 })
            }
        }
    }
}

/// Whether a command's reads count as hits and misses: those of commands that only read, and of those that answer with what was there.
#[inline]
pub fn counts_lookups(command: &Command, arguments: &[&[u8]]) -> bool {
    if command.is(flag::READONLY) {
        return true;
    }
    match command.name {
        "getset" | "getdel" | "getex" | "copy" => true,
        "set" => arguments.len() > 3 && arguments[3..].iter().any(|option| option.eq_ignore_ascii_case(b"get")),
        _ => false,
    }
}

/// The positions of a command's keys among its arguments.
#[derive(Clone, Debug)]
pub struct KeyPositions {
    next: usize,
    last: usize,
    step: usize,
}

impl Iterator for KeyPositions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next > self.last {
            return None;
        }
        let position = self.next;
        self.next += self.step;
        Some(position)
    }
}
