//! What is known about one key: OBJECT, and MEMORY USAGE.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::{container, row};
use crate::keyspace::{Entry, Value, canonical_integer};
use crate::reply::ReplySink;

/// Integers below this are shared objects in Redis, which counts no references to them.
const SHARED_INTEGERS: i64 = 10_000;

/// The key's entry, without that being an access.
fn entry<'c>(call: &'c Call<'_>, arguments: Arguments<'_>) -> Option<&'c Entry> {
    call.keyspace.look(call.db, arguments[2])
}

/// `OBJECT ENCODING key`.
fn encoding(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match entry(call, arguments) {
        Some(entry) => reply.bulk(entry.value().encoding().as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT FREQ key`: an evicting policy that counts accesses is not there.
fn freq(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    if entry(call, arguments).is_some() {
        return Err(Failure::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.null();
    Ok(())
}

/// `OBJECT IDLETIME key`, in seconds.
fn idletime(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let now_s = call.now_ms() / 1000;
    match entry(call, arguments) {
        Some(entry) => reply.integer(now_s.saturating_sub(u64::from(entry.accessed_s())) as i64),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT REFCOUNT key`.
fn refcount(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match entry(call, arguments).map(Entry::value) {
        Some(Value::Int(0..SHARED_INTEGERS)) => reply.integer(i64::from(i32::MAX)),
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT HELP`.
fn help(_: &mut Call<'_>, _: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    super::help::write(
        reply,
        "OBJECT",
        &[
            ("ENCODING <key>", "How the value of a key is represented."),
            ("FREQ <key>", "How often a key was accessed of late (logarithmic; LFU policies only)."),
            ("IDLETIME <key>", "Seconds since a key was last accessed."),
            ("REFCOUNT <key>", "How many references the value of a key has."),
        ],
    );
    Ok(())
}

/// `MEMORY USAGE key [SAMPLES count]`: bytes that the key holds in memory. Nothing is sampled, the figure is kept.
fn usage(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let mut options = arguments[3..].iter();
    while let Some(option) = options.next() {
        let samples = options.next().filter(|_| option.eq_ignore_ascii_case(b"samples")).ok_or(Failure::Syntax)?;
        if canonical_integer(samples).ok_or(Failure::NotInteger)? < 0 {
            return Err(Failure::Syntax);
        }
    }
    match call.keyspace.peek(call.db, arguments[2]) {
        Some(entry) => {
            let copy_bytes = match entry.value() {
                Value::Large(string) => string.memory().map_or(0, |bytes| bytes.len()),
                _ => 0,
            };
            reply.integer((entry.memory_bytes() + copy_bytes) as i64);
        }
        None => reply.null(),
    }
    Ok(())
}

/// MEMORY's subcommand that runs in a shard; its container joins it with those of the node.
pub const MEMORY_USAGE: Command = row("memory|usage", -3, flag::READONLY, SECOND, Run::Shard(usage));

/// The key after a subcommand's name.
const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };

/// The rows of this family.
pub const COMMANDS: &[Command] = &[container(
    "object",
    &[
        row("object|encoding", 3, flag::READONLY, SECOND, Run::Shard(encoding)),
        row("object|freq", 3, flag::READONLY, SECOND, Run::Shard(freq)),
        row("object|help", 2, flag::LOADING | flag::STALE, Keys::None, Run::Shard(help)),
        row("object|idletime", 3, flag::READONLY, SECOND, Run::Shard(idletime)),
        row("object|refcount", 3, flag::READONLY, SECOND, Run::Shard(refcount)),
    ],
)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    #[test]
    fn encodings_and_references_are_those_of_redis() {
        let mut shard = TestShard::new();
        for (value, encoding, references) in [
            ("0".to_owned(), "int", i32::MAX),
            ("9999".to_owned(), "int", i32::MAX),
            ("10000".to_owned(), "int", 1),
            ("-1".to_owned(), "int", 1),
            ("007".to_owned(), "embstr", 1),
            ("x".repeat(44), "embstr", 1),
            ("x".repeat(45), "raw", 1),
            ("x".repeat(LARGE_BYTES_MIN), "raw", 1),
        ] {
            shard.put("a", &value, 0);
            assert_eq!(shard.run("OBJECT ENCODING a"), format!("\"{encoding}\""), "{value:.50}");
            assert_eq!(shard.run("OBJECT REFCOUNT a"), format!(":{references}"), "{value:.50}");
        }
        for ask in ["ENCODING", "REFCOUNT", "IDLETIME", "FREQ"] {
            assert_eq!(shard.run(&format!("OBJECT {ask} nothing")), "nil");
            assert_eq!(
                shard.run(&format!("OBJECT {ask}")),
                format!("-ERR wrong number of arguments for 'object|{}' command", ask.to_lowercase())
            );
        }
        assert!(shard.run("OBJECT FREQ a").starts_with("-ERR An LFU maxmemory policy is not selected, access"));
    }

    #[test]
    fn asking_is_no_access() {
        let mut shard = TestShard::new();
        shard.put("a", "1", 0);
        shard.advance_ms(7_999);
        for _ in 0..2 {
            shard.run("OBJECT ENCODING a");
            shard.run("OBJECT REFCOUNT a");
            shard.run_handler(usage, &["MEMORY", "USAGE", "a"]);
            assert_eq!(shard.run("OBJECT IDLETIME a"), ":7");
        }
        shard.run("GET a");
        assert_eq!(shard.run("OBJECT IDLETIME a"), ":0");
    }

    #[test]
    fn memory_usage_counts_what_is_held() {
        let mut shard = TestShard::new();
        let mut bytes = |value: &str| -> usize {
            shard.put("a", value, 0);
            shard.run_handler(usage, &["MEMORY", "USAGE", "a"])[1..].parse().unwrap()
        };
        let small = bytes("x");
        assert_eq!(bytes("12"), small);
        assert_eq!(bytes(&"x".repeat(1000)), small + 1000);
        assert!(bytes(&"x".repeat(LARGE_BYTES_MIN)) > small + LARGE_BYTES_MIN);
        assert_eq!(shard.run_handler(usage, &["MEMORY", "USAGE", "nothing"]), "nil");
        for (options, answer) in [
            (["SAMPLES", "0"].as_slice(), "nil"),
            (&["samples", "5", "SAMPLES", "1"], "nil"),
            (&["SAMPLES", "-1"], "-ERR syntax error"),
            (&["SAMPLES", "x"], "-ERR value is not an integer or out of range"),
            (&["SAMPLES"], "-ERR syntax error"),
            (&["FOO", "1"], "-ERR syntax error"),
        ] {
            let command = [["MEMORY", "USAGE", "nothing"].as_slice(), options].concat();
            assert_eq!(shard.run_handler(usage, &command), answer, "{options:?}");
        }
    }

    #[test]
    fn help_has_the_form_of_every_help() {
        let help = TestShard::new().run("OBJECT HELP");
        let lines: Vec<&str> = help.trim_matches(['[', ']']).split(", ").collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        assert_eq!((lines[1], lines[9]), ("ENCODING <key>", "HELP"));
        assert!(lines[2].starts_with("    "));
    }
}
