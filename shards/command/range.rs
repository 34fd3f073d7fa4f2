//! Parts of strings: read, overwritten, added.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::keyspace::{NewValue, canonical_integer};
use crate::reply::ReplySink;
use std::ops::Range;

/// `GETRANGE key start end`, and SUBSTR, its old name.
pub fn getrange(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let start = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let end = canonical_integer(arguments[3]).ok_or(Failure::NotInteger)?;
    match call.read(arguments[1]) {
        Some(entry) => {
            // Both before the string and in the wrong order: nothing, although the first byte is nearest to both.
            let reversed = start < 0 && end < 0 && start > end;
            let range = if reversed { 0..0 } else { clamp(start, end, entry.value().len()) };
            reply.bulk(&entry.value().part(range, call.segments)?);
        }
        None => reply.bulk(b""),
    }
    Ok(())
}

/// The positions from `start` to `end`, both included, both counted from the end if negative, that a sequence of `len` has.
pub(super) fn clamp(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |position: i64| if position < 0 { position.saturating_add(len).max(0) } else { position };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// `SETRANGE key offset value`.
pub fn setrange(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (key, bytes) = (arguments[1], arguments[3]);
    let offset = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let offset = usize::try_from(offset).map_err(|_| Failure::OffsetOutOfRange)?;
    let len = call.read(key).map(|entry| entry.value().len());
    if bytes.is_empty() {
        reply.integer(len.unwrap_or(0) as i64);
        return Ok(());
    }
    let end = end_within(call, offset, bytes.len())?;
    if len.is_none() {
        call.put(key, NewValue::Bytes(b""), 0);
    }
    call.splice(key, offset, bytes)?;
    reply.integer(end.max(len.unwrap_or(0)) as i64);
    Ok(())
}

/// `APPEND key value`.
pub fn append(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (key, tail) = (arguments[1], arguments[2]);
    let len = call.read(key).map(|entry| entry.value().len());
    let end = match len {
        None => {
            call.put(key, arguments.value(2), 0);
            tail.len()
        }
        Some(len) => {
            let end = end_within(call, len, tail.len())?;
            if !tail.is_empty() {
                call.append(key, tail)?;
            }
            end
        }
    };
    reply.integer(end as i64);
    Ok(())
}

fn end_within(call: &Call<'_>, offset: usize, len: usize) -> Result<usize, Failure> {
    offset.checked_add(len).filter(|&end| end <= call.string_bytes_max).ok_or(Failure::StringTooLong)
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("append", 3, flag::WRITE | flag::DENYOOM | flag::FAST, Keys::FIRST, Run::Shard(append)),
    Command::row("getrange", 4, flag::READONLY, Keys::FIRST, Run::Shard(getrange)),
    Command::row("setrange", 4, flag::WRITE | flag::DENYOOM, Keys::FIRST, Run::Shard(setrange)),
    Command::row("substr", 4, flag::READONLY, Keys::FIRST, Run::Shard(getrange)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn getrange_counts_from_both_ends() {
        let mut shard = TestShard::new();
        shard.run("MSET k Hello n 12345");
        for (range, part) in [
            ("0 -1", "Hello"),
            ("1 2", "el"),
            ("-3 -2", "ll"),
            ("-100 1", "He"),
            ("3 100", "lo"),
            ("5 9", ""),
            ("3 2", ""),
            ("-2 -3", ""),
            ("-1 -100", ""),
            ("-50 -100", ""),
            ("-100 -50", "H"),
            ("-9223372036854775808 9223372036854775807", "Hello"),
        ] {
            assert_eq!(shard.run(&format!("GETRANGE k {range}")), format!("\"{part}\""), "{range}");
            assert_eq!(shard.run(&format!("SUBSTR k {range}")), format!("\"{part}\""), "{range}");
        }
        assert_eq!(shard.run("GETRANGE n 1 -2"), "\"234\"");
        assert_eq!(shard.run("GETRANGE nothing 0 -1"), "\"\"");
        assert_eq!(shard.run("GETRANGE nothing x -1"), NOT_INTEGER);
        assert_eq!(shard.run("GETRANGE k 0 1.0"), NOT_INTEGER);
    }

    #[test]
    fn a_range_of_a_cold_string_brings_in_that_range_alone() {
        let mut shard = TestShard::new();
        let value: Vec<u8> = (0..LARGE_BYTES_MIN * 2).map(|at| b'a' + (at % 26) as u8).collect();
        shard.run_words(&[b"SET", b"k", &value]);
        shard.cool();
        assert_eq!(shard.run("GETRANGE k 26 28"), "\"abc\"");
        assert_eq!(shard.segments.brought_in(), [(26, 3)]);
    }

    #[test]
    fn setrange_overwrites_and_fills_with_zeros() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("SETRANGE k 0 \"\""), ":0");
        assert!(shard.take_effects().is_empty());
        assert_eq!(shard.run("SETRANGE k 2 ab"), ":4");
        assert_eq!(shard.run("GET k"), "\"\\x00\\x00ab\"");
        assert_eq!(shard.run("SETRANGE k 1 xyz1"), ":5");
        assert_eq!(shard.run("SETRANGE k 0 Q"), ":5");
        assert_eq!(shard.run("SETRANGE k 9 \"\""), ":5");
        assert_eq!(shard.run("GET k"), "\"Qxyz1\"");
        assert_eq!(shard.take_effects(), ["put k ", "splice k 2 ab", "splice k 1 xyz1", "splice k 0 Q"]);
        shard.run("SET n 1234 EX 100");
        assert_eq!(shard.run("SETRANGE n 2 0"), ":4");
        assert_eq!(shard.run("GET n"), "\"1204\"");
        assert_ne!(shard.keyspace.read(0, b"n").unwrap().expires_ms(), 0);
        assert_eq!(shard.keyspace.read(0, b"n").unwrap().value().encoding(), "raw");
        assert_eq!(shard.run("SETRANGE k -1 x"), "-ERR offset is out of range");
        assert_eq!(shard.run("SETRANGE k x x"), NOT_INTEGER);
    }

    #[test]
    fn strings_have_a_longest_length() {
        let mut shard = TestShard::new();
        shard.string_bytes_max = 10;
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        assert_eq!(shard.run("SETRANGE k 9 ab"), too_long);
        assert_eq!(shard.run("SETRANGE k 9223372036854775807 ab"), too_long);
        assert_eq!(shard.run("SETRANGE k 8 ab"), ":10");
        assert_eq!(shard.run("SETRANGE k 9 ab"), too_long);
        assert_eq!(shard.run("APPEND k c"), too_long);
        assert_eq!(shard.take_effects(), ["put k ", "splice k 8 ab"]);
    }

    #[test]
    fn append_makes_or_grows() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("APPEND k 12"), ":2");
        assert_eq!(shard.keyspace.read(0, b"k").unwrap().value().encoding(), "int");
        assert_eq!(shard.run("APPEND k \"\""), ":2");
        assert_eq!(shard.run("APPEND k 34"), ":4");
        assert_eq!(shard.keyspace.read(0, b"k").unwrap().value().encoding(), "raw");
        assert_eq!(shard.run("GET k"), "\"1234\"");
        assert_eq!(shard.run("APPEND empty \"\""), ":0");
        assert_eq!(shard.take_effects(), ["put k 12", "append k 34", "put empty "]);
    }

    #[test]
    fn a_cold_string_is_brought_in_before_it_grows() {
        let mut shard = TestShard::new();
        shard.run_words(&[b"SET", b"k", &vec![b'v'; LARGE_BYTES_MIN]]);
        shard.cool();
        assert_eq!(shard.run("APPEND k w"), ":1025");
        assert_eq!(shard.cold_runs, 1);
        assert_eq!(shard.run("GETRANGE k -2 -1"), "\"vw\"");
    }

    #[test]
    fn clamp_never_leaves_the_sequence() {
        let ends = [i64::MIN, i64::MIN + 1, -4, -3, -2, -1, 0, 1, 2, 3, 4, i64::MAX];
        for len in 0..4 {
            for start in ends {
                for end in ends {
                    let range = clamp(start, end, len);
                    assert!(range.start <= range.end && range.end <= len);
                }
            }
        }
    }
}
