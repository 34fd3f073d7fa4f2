//! Bits counted and searched in a range of a string.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::range::clamp;
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;
use std::ops::Range;

/// What a range's positions count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(name: &[u8]) -> Result<Self, Failure> {
        if name.eq_ignore_ascii_case(b"BIT") {
            Ok(Unit::Bit)
        } else if name.eq_ignore_ascii_case(b"BYTE") {
            Ok(Unit::Byte)
        } else {
            Err(Failure::Syntax)
        }
    }

    /// The bits from position `start` to `end`, both included, of a string of `len` bytes.
    fn bits(self, start: i64, end: i64, len: usize) -> Range<usize> {
        let bits = match self {
            Unit::Bit => 1,
            Unit::Byte => 8,
        };
        let range = clamp(start, end, len * 8 / bits);
        range.start * bits..range.end * bits
    }
}

fn position(text: &[u8]) -> Result<i64, Failure> {
    canonical_integer(text).ok_or(Failure::NotInteger)
}

/// `BITCOUNT key [start end [BYTE | BIT]]`. As in Redis 7, a key that is not there is answered before the range is looked at.
pub fn bitcount(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let Some(entry) = call.read(arguments[1]) else {
        reply.integer(0);
        return Ok(());
    };
    let len = entry.value().len();
    let bits = match &arguments[2..] {
        [] => 0..len * 8,
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = (position(start)?, position(end)?);
            if start < 0 && end < 0 && start > end {
                // As in GETRANGE, and unlike in BITPOS, that is nothing even where both lie before the string. As in Redis 7, the unit
                // is not looked at then.
                0..0
            } else {
                unit.first().map_or(Ok(Unit::Byte), |unit| Unit::parse(unit))?.bits(start, end, len)
            }
        }
        _ => return Err(Failure::Syntax),
    };
    let bytes = entry.value().part(bits.start / 8..bits.end.div_ceil(8), call.segments)?;
    reply.integer(count(&bytes, bits.start % 8, bits.end.div_ceil(8) * 8 - bits.end) as i64);
    Ok(())
}

/// The ones, but for so many bits at the front and at the back (less than eight each).
fn count(bytes: &[u8], skip_front: usize, skip_back: usize) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let ones = words.iter().map(|&word| u64::from(u64::from_ne_bytes(word).count_ones())).sum::<u64>()
        + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return 0 };
    let front = first & !(0xff >> skip_front);
    let back = last & ((1 << skip_back) - 1);
    ones - u64::from(front.count_ones()) - u64::from(back.count_ones())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`. As in Redis 7, a key that is not there is answered before the range is looked at.
pub fn bitpos(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let one = match canonical_integer(arguments[2]) {
        Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(Failure::text("ERR The bit argument must be 1 or 0.")),
        None => return Err(Failure::NotInteger),
    };
    let Some(entry) = call.read(arguments[1]) else {
        reply.integer(if one { -1 } else { 0 });
        return Ok(());
    };
    let len = entry.value().len();
    let (bits, ends) = match &arguments[3..] {
        [] => (0..len * 8, false),
        [start] => (Unit::Byte.bits(position(start)?, i64::MAX, len), false),
        [start, end] => (Unit::Byte.bits(position(start)?, position(end)?, len), true),
        [start, end, unit] => {
            let start = position(start)?;
            let unit = Unit::parse(unit)?;
            (unit.bits(start, position(end)?, len), true)
        }
        _ => return Err(Failure::Syntax),
    };
    if bits.is_empty() {
        reply.integer(-1);
        return Ok(());
    }
    let bytes = entry.value().part(bits.start / 8..bits.end.div_ceil(8), call.segments)?;
    let found = search(&bytes, one, bits.start % 8).map(|at| at + bits.start / 8 * 8).filter(|&at| at < bits.end);
    reply.integer(match found {
        Some(at) => at as i64,
        // Behind a string without an end that was asked for there are zeros.
        None if !one && !ends => bits.end as i64,
        None => -1,
    });
    Ok(())
}

/// The first bit of this kind, after so many (less than eight) at the front.
fn search(bytes: &[u8], one: bool, skip_front: usize) -> Option<usize> {
    let other: u8 = if one { 0x00 } else { 0xff };
    let (first, rest) = bytes.split_first()?;
    let at_front = (first ^ other) & (0xff >> skip_front);
    if at_front != 0 {
        return Some(at_front.leading_zeros() as usize);
    }
    let (words, _) = rest.as_chunks::<8>();
    let skipped = words.iter().take_while(|&&word| word == [other; 8]).count() * 8;
    let at = skipped + rest[skipped..].iter().position(|&byte| byte != other)?;
    Some((1 + at) * 8 + (rest[at] ^ other).leading_zeros() as usize)
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("bitcount", -2, flag::READONLY, Keys::FIRST, Run::Shard(bitcount)),
    Command::row("bitpos", -3, flag::READONLY, Keys::FIRST, Run::Shard(bitpos)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};
    use proptest::prelude::*;

    const SYNTAX: &str = "-ERR syntax error";
    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn bits_are_counted_in_ranges() {
        let mut shard = TestShard::new();
        shard.run("SET k foobar");
        for (range, ones) in [
            ("", 26),
            ("0 0", 4),
            ("1 1 byte", 6),
            ("5 30 BIT", 17),
            ("-1 -1", 4),
            ("3 2", 0),
            ("-2 -3", 0),
            ("-70 -80 BIT", 0),
            ("-80 -70 BIT", 0),
            ("-9223372036854775808 9223372036854775807 BIT", 26),
        ] {
            assert_eq!(shard.run(&format!("BITCOUNT k {range}")), format!(":{ones}"), "{range}");
        }
        assert_eq!(shard.run("BITCOUNT k 0"), SYNTAX);
        assert_eq!(shard.run("BITCOUNT k 0 1 2"), SYNTAX);
        assert_eq!(shard.run("BITCOUNT k 0 1 BIT x"), SYNTAX);
        assert_eq!(shard.run("BITCOUNT k -1 -2 x"), ":0");
        assert_eq!(shard.run("BITCOUNT k 0 x"), NOT_INTEGER);
        assert_eq!(shard.run("BITCOUNT nothing"), ":0");
        assert_eq!(shard.run("BITCOUNT nothing 0"), ":0");
        shard.run("SET empty \"\"");
        assert_eq!(shard.run("BITCOUNT empty 0 -1 BIT"), ":0");
    }

    #[test]
    fn bits_are_searched_in_ranges() {
        let mut shard = TestShard::new();
        shard.run(r#"MSET k "\xff\xf0\x00" ones "\xff\xff" zeros "\x00\x00" empty """#);
        for (search, at) in [
            ("k 0", 12),
            ("k 1", 0),
            ("k 1 2", -1),
            ("k 0 0 0", -1),
            ("k 0 1 -1", 12),
            ("k 0 13 15 BIT", 13),
            ("k 1 9 -1 BIT", 9),
            ("k 1 12 -1 BIT", -1),
            ("k 0 2 5 BIT", -1),
            ("ones 0", 16),
            ("ones 0 1", 16),
            ("ones 0 0 -1", -1),
            ("ones 0 5", -1),
            ("zeros 1", -1),
            ("zeros 1 0 -1 byte", -1),
            ("ones 1 -20 -30", 0),
            ("ones 1 -1 -2", -1),
            ("empty 0", -1),
            ("empty 1", -1),
            ("nothing 0", 0),
            ("nothing 1", -1),
            ("nothing 0 x", 0),
        ] {
            assert_eq!(shard.run(&format!("BITPOS {search}")), format!(":{at}"), "{search}");
        }
        assert_eq!(shard.run("BITPOS k 2"), "-ERR The bit argument must be 1 or 0.");
        assert_eq!(shard.run("BITPOS k x"), NOT_INTEGER);
        assert_eq!(shard.run("BITPOS k 1 x"), NOT_INTEGER);
        assert_eq!(shard.run("BITPOS k 1 0 x"), NOT_INTEGER);
        assert_eq!(shard.run("BITPOS k 1 0 1 x"), SYNTAX);
        assert_eq!(shard.run("BITPOS k 1 0 1 BIT x"), SYNTAX);
    }

    #[test]
    fn a_range_of_a_cold_string_brings_in_that_range_alone() {
        let mut shard = TestShard::new();
        shard.run_words(&[b"SET", b"k", &vec![1; LARGE_BYTES_MIN]]);
        shard.cool();
        assert_eq!(shard.run("BITCOUNT k 10 12"), ":3");
        assert_eq!(shard.run("BITPOS k 1 160 200 BIT"), ":167");
        assert_eq!(shard.segments.brought_in(), [(10, 3), (20, 6)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_range_is_that_of_the_bits_one_by_one(
            bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 1..40),
            start in -330i64..330,
            end in -330i64..330,
        ) {
            let mut shard = TestShard::new();
            shard.run_words(&[b"SET", b"k", &bytes]);
            let bits: Vec<bool> = (0..bytes.len() * 8).map(|at| bytes[at / 8] & (0x80 >> (at % 8)) != 0).collect();
            let absolute = |at: i64| if at < 0 { (at + bits.len() as i64).max(0) } else { at };
            let range = absolute(start)..=absolute(end).min(bits.len() as i64 - 1);
            let of_bit = |at: i64| bits[at as usize];
            let reversed = start < 0 && end < 0 && start > end;
            let ones = if reversed { 0 } else { range.clone().filter(|&at| of_bit(at)).count() };
            prop_assert_eq!(shard.run(&format!("BITCOUNT k {start} {end} BIT")), format!(":{ones}"));
            for bit in [false, true] {
                let at = range.clone().find(|&at| of_bit(at) == bit).unwrap_or(-1);
                let search = format!("BITPOS k {} {start} {end} BIT", i32::from(bit));
                prop_assert_eq!(shard.run(&search), format!(":{at}"));
            }
        }
    }
}
