//! Strings as arrays of bits: one bit, and several strings bit by bit.

use crate::command::bit_offset::BitOffset;
use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::keyspace::{NewValue, StringBytes};
use crate::reply::ReplySink;
use bytes::Bytes;

/// `GETBIT key offset`.
pub fn getbit(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let offset = BitOffset::parse(arguments[2], call.string_bytes_max)?;
    let byte = byte_at(call, arguments[1], offset.byte())?.unwrap_or(0);
    reply.integer(i64::from(byte & offset.mask() != 0));
    Ok(())
}

/// `SETBIT key offset value`.
pub fn setbit(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    let offset = BitOffset::parse(arguments[2], call.string_bytes_max)?;
    let on = match arguments[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(Failure::text("ERR bit is not an integer or out of range")),
    };
    let old = byte_at(call, key, offset.byte())?;
    let was = old.unwrap_or(0) & offset.mask() != 0;
    if old.is_none() || was != on {
        let rest = old.unwrap_or(0) & !offset.mask();
        if call.read(key).is_none() {
            call.put(key, NewValue::Bytes(b""), 0);
        }
        call.splice(key, offset.byte(), &[if on { rest | offset.mask() } else { rest }])?;
    }
    reply.integer(i64::from(was));
    Ok(())
}

fn byte_at(call: &Call<'_>, key: &[u8], position: usize) -> Result<Option<u8>, Failure> {
    match call.read(key) {
        Some(entry) if position < entry.value().len() => {
            Ok(entry.value().part(position..position + 1, call.segments)?.first().copied())
        }
        _ => Ok(None),
    }
}

/// What BITOP does with the bits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(name: &[u8]) -> Result<Self, Failure> {
        let is = |operation: &str| name.eq_ignore_ascii_case(operation.as_bytes());
        if is("AND") {
            Ok(Operation::And)
        } else if is("OR") {
            Ok(Operation::Or)
        } else if is("XOR") {
            Ok(Operation::Xor)
        } else if is("NOT") {
            Ok(Operation::Not)
        } else {
            Err(Failure::Syntax)
        }
    }

    /// The result for strings that are continued by zeros up to the longest one's length.
    fn apply(self, strings: &[Option<StringBytes<'_>>]) -> Vec<u8> {
        let strings: Vec<&[u8]> = strings.iter().map(|string| string.as_deref().unwrap_or_default()).collect();
        let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
        let mut result = Vec::with_capacity(len);
        result.extend_from_slice(strings[0]);
        result.resize(len, 0);
        for string in &strings[1..] {
            let pairs = result.iter_mut().zip(*string);
            match self {
                Operation::And => {
                    pairs.for_each(|(left, right)| *left &= right);
                    result[string.len()..].fill(0);
                }
                Operation::Or => pairs.for_each(|(left, right)| *left |= right),
                Operation::Xor => pairs.for_each(|(left, right)| *left ^= right),
                Operation::Not => unreachable!("NOT has one string"),
            }
        }
        if self == Operation::Not {
            result.iter_mut().for_each(|byte| *byte = !*byte);
        }
        result
    }
}

/// Strings longer than this many bytes are `raw` anyway.
const EMBEDDED_BYTES_MAX: usize = 44;

/// `BITOP AND | OR | XOR | NOT destkey key [key ...]`.
pub fn bitop(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let operation = Operation::parse(arguments[1])?;
    let (destination, sources) = (arguments[2], &arguments[3..]);
    if operation == Operation::Not && sources.len() != 1 {
        return Err(Failure::text("ERR BITOP NOT must be called with a single source key."));
    }
    let strings = sources.iter().map(|key| call.string(key)).collect::<Result<Vec<_>, _>>()?;
    let result = operation.apply(&strings);
    drop(strings);
    reply.integer(result.len() as i64);
    if result.is_empty() {
        call.remove(destination);
    } else if result.len() <= EMBEDDED_BYTES_MAX {
        // Written in place, so that its encoding is `raw`, as in Redis.
        call.put(destination, NewValue::Bytes(b""), 0);
        call.splice(destination, 0, &result)?;
    } else {
        call.put(destination, NewValue::Owned(Bytes::from(result)), 0);
    }
    Ok(())
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row(
        "bitop",
        -4,
        flag::WRITE | flag::DENYOOM,
        Keys::Range { first: 2, last: -1, step: 1 },
        Run::Shard(bitop),
    ),
    Command::row("getbit", 3, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(getbit)),
    Command::row("setbit", 4, flag::WRITE | flag::DENYOOM, Keys::FIRST, Run::Shard(setbit)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    const BAD_BIT: &str = "-ERR bit is not an integer or out of range";

    #[test]
    fn single_bits() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("GETBIT k 100"), ":0");
        assert_eq!(shard.run("SETBIT k 7 1"), ":0");
        assert_eq!(shard.run("SETBIT k 7 1"), ":1");
        assert_eq!(shard.run("SETBIT k 16 0"), ":0");
        assert_eq!(shard.run("SETBIT k 0 1"), ":0");
        assert_eq!(shard.run("SETBIT k 7 0"), ":1");
        assert_eq!(shard.run("GET k"), "\"\\x80\\x00\\x00\"");
        assert_eq!(shard.run("GETBIT k 0"), ":1");
        assert_eq!(shard.run("GETBIT k 1"), ":0");
        assert_eq!(shard.run("GETBIT k 24"), ":0");
        assert_eq!(
            shard.take_effects(),
            ["put k ", "splice k 0 \\x01", "splice k 2 \\x00", "splice k 0 \\x81", "splice k 0 \\x80"]
        );
        assert_eq!(shard.keyspace.read(0, b"k").unwrap().value().encoding(), "raw");
        shard.run("SET n 1");
        assert_eq!(shard.run("GETBIT n 2"), ":1");
        assert_eq!(shard.run("SETBIT n 6 1"), ":0");
        assert_eq!(shard.run("GET n"), "\"3\"");
    }

    #[test]
    fn offsets_and_bits_that_are_refused() {
        let mut shard = TestShard::new();
        for offset in ["-1", "x", "4294967296", "9223372036854775808", "#1", "1.5"] {
            assert_eq!(shard.run(&format!("SETBIT k {offset} 1")), BAD_OFFSET);
            assert_eq!(shard.run(&format!("GETBIT k {offset}")), BAD_OFFSET);
        }
        for bit in ["2", "-1", "x", "01"] {
            assert_eq!(shard.run(&format!("SETBIT k 1 {bit}")), BAD_BIT);
        }
        assert_eq!(shard.run("SETBIT k x x"), BAD_OFFSET);
        assert_eq!(shard.run("GETBIT k 4294967295"), ":0");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn one_bit_of_a_cold_string_brings_in_one_byte() {
        let mut shard = TestShard::new();
        shard.run_words(&[b"SET", b"k", &vec![b'1'; LARGE_BYTES_MIN]]);
        shard.cool();
        assert_eq!(shard.run("GETBIT k 802"), ":1");
        assert_eq!(shard.segments.brought_in(), [(100, 1)]);
        assert_eq!(shard.run("SETBIT k 806 1"), ":0");
        assert_eq!(shard.run("GETRANGE k 99 101"), "\"131\"");
    }

    #[test]
    fn strings_bit_by_bit() {
        let mut shard = TestShard::new();
        shard.run(r#"MSET a "\xff\x0f\x33" b "\x0f\xf0""#);
        for (operation, result) in [
            ("AND d a b", r#""\x0f\x00\x00""#),
            ("or d a b", r#""\xff\xff3""#),
            ("XOR d a b", r#""\xf0\xff3""#),
            ("XOR d b a nothing", r#""\xf0\xff3""#),
            ("AND d a nothing", r#""\x00\x00\x00""#),
            ("NOT d a", r#""\x00\xf0\xcc""#),
            ("AND a a b", r#""\x0f\x00\x00""#),
        ] {
            assert_eq!(shard.run(&format!("BITOP {operation}")), ":3");
            let destination = operation.split(' ').nth(1).unwrap();
            assert_eq!(shard.run(&format!("GET {destination}")), result, "{operation}");
        }
        shard.run("SET d v EX 100");
        assert_eq!(shard.run("BITOP OR d b"), ":2");
        assert_eq!(shard.keyspace.read(0, b"d").unwrap().expires_ms(), 0);
        assert_eq!(shard.run("BITOP NOT d nothing"), ":0");
        assert_eq!(shard.run("GET d"), "nil");
        shard.take_effects();
        assert_eq!(shard.run("BITOP NOT d nothing"), ":0");
        assert_eq!(shard.run("BITOP NOT d a b"), "-ERR BITOP NOT must be called with a single source key.");
        assert_eq!(shard.run("BITOP NAND d a b"), "-ERR syntax error");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn large_results_live_in_the_log() {
        let mut shard = TestShard::new();
        shard.run_words(&[b"SET", b"k", &vec![b'v'; LARGE_BYTES_MIN]]);
        shard.cool();
        assert_eq!(shard.run("BITOP NOT d k"), ":1024");
        shard.cool();
        assert_eq!(shard.run("GETRANGE d 0 0"), r#""\x89""#);
        assert_eq!(shard.cold_runs, 2);
    }
}
