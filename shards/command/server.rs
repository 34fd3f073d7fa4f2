//! Commands of the server as a whole: their rows. What runs them is the shell's.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::object::MEMORY_USAGE;
use crate::command::row::container;
use crate::keyspace::Value;
use crate::reply::ReplySink;

/// Redis keeps 24 bits of the second that a key was accessed in.
const ACCESS_CLOCK_MASK: u32 = (1 << 24) - 1;

const fn row(name: &'static str, arity: i16, flags: u32) -> Command {
    Command { name, arity, flags, keys: Keys::None, run: Run::Node, subcommands: &[] }
}

const HELP: u32 = flag::LOADING | flag::STALE;
const OPERATOR: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;
const SLOW_LOG: u32 = flag::ADMIN | flag::LOADING | flag::STALE;
const CHECKPOINT: u32 = flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    container(
        "config",
        &[
            row("config|get", -3, OPERATOR),
            row("config|help", 2, HELP),
            row("config|resetstat", 2, OPERATOR),
            row("config|rewrite", 2, OPERATOR),
            row("config|set", -4, OPERATOR),
        ],
    ),
    row("info", -1, flag::LOADING | flag::STALE),
    container(
        "slowlog",
        &[
            row("slowlog|get", -2, SLOW_LOG),
            row("slowlog|help", 2, HELP),
            row("slowlog|len", 2, SLOW_LOG),
            row("slowlog|reset", 2, SLOW_LOG),
        ],
    ),
    container(
        "latency",
        &[
            row("latency|doctor", 2, OPERATOR),
            row("latency|graph", 3, OPERATOR),
            row("latency|help", 2, HELP),
            row("latency|histogram", -2, OPERATOR),
            row("latency|history", 3, OPERATOR),
            row("latency|latest", 2, OPERATOR),
            row("latency|reset", -2, OPERATOR),
        ],
    ),
    container(
        "memory",
        &[
            row("memory|doctor", 2, 0),
            row("memory|help", 2, HELP),
            row("memory|malloc-stats", 2, 0),
            row("memory|purge", 2, 0),
            row("memory|stats", 2, 0),
            MEMORY_USAGE,
        ],
    ),
    container(
        "script",
        &[
            row("script|exists", -3, flag::NOSCRIPT),
            row("script|flush", -2, flag::NOSCRIPT),
            row("script|help", 2, HELP),
            row("script|kill", -2, flag::NOSCRIPT | flag::ALLOW_BUSY),
            row("script|list", 2, flag::NOSCRIPT | flag::ALLOW_BUSY),
            row("script|load", 3, flag::NOSCRIPT | flag::STALE),
        ],
    ),
    row("lastsave", 1, flag::LOADING | flag::STALE | flag::FAST),
    row("save", 1, CHECKPOINT | flag::NO_MULTI),
    row("bgsave", -1, CHECKPOINT),
    row("shutdown", -1, OPERATOR | flag::NO_MULTI | flag::ALLOW_BUSY),
    row("debug", -2, OPERATOR),
];

/// `DEBUG OBJECT key`, which a shard runs once the shell has allowed it. It is no row of the table: DEBUG is one command.
pub static DEBUG_OBJECT: Command = Command {
    name: "debug",
    arity: 3,
    flags: OPERATOR | flag::READONLY,
    keys: Keys::Range { first: 2, last: 2, step: 1 },
    run: Run::Shard(debug_object),
    subcommands: &[],
};

fn debug_object(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let now_s = call.now_ms() / 1000;
    let entry = call.keyspace.peek(call.db, arguments[2]).ok_or(Failure::NoSuchKey)?;
    let references = match entry.value() {
        Value::Int(0..10_000) => i32::MAX,
        _ => 1,
    };
    reply.simple(&format!(
        "Value at:{:p} refcount:{references} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        std::ptr::from_ref(entry),
        entry.value().encoding(),
        serialized_bytes(entry.value()),
        entry.accessed_s() & ACCESS_CLOCK_MASK,
        now_s.saturating_sub(u64::from(entry.accessed_s())),
    ));
    Ok(())
}

/// Bytes that the value has in an RDB file without compression.
fn serialized_bytes(value: &Value) -> usize {
    if let Value::Int(number) = value {
        for (fits, bytes) in [
            (i8::try_from(*number).is_ok(), 2),
            (i16::try_from(*number).is_ok(), 3),
            (i32::try_from(*number).is_ok(), 5),
        ] {
            if fits {
                return bytes;
            }
        }
    }
    let bytes = value.len();
    let length_bytes = match bytes {
        0..64 => 1,
        64..16_384 => 2,
        _ if u32::try_from(bytes).is_ok() => 5,
        _ => 9,
    };
    length_bytes + bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{find, find_subcommand};

    #[test]
    fn memory_usage_stands_among_the_nodes_subcommands() {
        let memory = find(b"MEMORY").unwrap();
        assert!(matches!(find_subcommand(memory, b"Usage").unwrap().run, Run::Shard(_)));
        assert!(matches!(find_subcommand(memory, b"stats").unwrap().run, Run::Node));
    }

    #[test]
    fn serialized_lengths_are_those_of_an_rdb_file() {
        for (text, bytes) in [("0", 2), ("-129", 3), ("70000", 5), ("5000000000", 11), ("abc", 4)] {
            assert_eq!(serialized_bytes(&Value::string(text.as_bytes())), bytes, "{text}");
        }
        assert_eq!(serialized_bytes(&Value::string(&[b'x'; 100])), 102);
    }
}
