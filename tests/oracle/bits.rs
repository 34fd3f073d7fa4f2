//! Bits of strings: single ones, counts, positions, operations of several strings, fields.

use super::common::Random;
use super::generate::{extend, integer, key, value};
use super::step::Step;
use crate::request;

/// Adds a random command.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let k = key(random);
    let step = match random.below(16) {
        0..=2 => request!["SETBIT", k, offset(random), random.below(3).to_string()],
        3 => request!["GETBIT", k, offset(random)],
        4 => request!["SET", k, value(random)],
        5 => request!["GET", k],
        6 | 7 => {
            let mut step = request!["BITCOUNT", k];
            range(random, &mut step);
            step
        }
        8 | 9 => {
            let mut step = request!["BITPOS", k, random.below(3).to_string()];
            range(random, &mut step);
            step
        }
        10 | 11 => {
            let name = random.pick(&["AND", "OR", "XOR", "NOT"]);
            let mut step = request!["BITOP", name, k, key(random)];
            if name != "NOT" || random.one_in(4) {
                (0..random.below(3)).for_each(|_| extend(&mut step, &[key(random)]));
            }
            step
        }
        _ => field(random),
    };
    steps.push(step);
}

/// Small, or refused: nothing in between, since a string grows up to it.
fn offset(random: &mut Random) -> String {
    const REFUSED: [&str; 6] = ["-1", "4294967296", "abc", "", "9223372036854775808", "1.5"];
    if random.one_in(8) { REFUSED[random.below(6)].to_owned() } else { random.below(2_000).to_string() }
}

fn range(random: &mut Random, step: &mut Step) {
    if random.one_in(3) {
        return;
    }
    extend(step, &[integer(random)]);
    if random.one_in(4) {
        return;
    }
    extend(step, &[integer(random)]);
    match random.below(5) {
        0 | 1 => extend(step, &["BIT"]),
        2 => extend(step, &["BYTE"]),
        _ => {}
    }
}

fn field(random: &mut Random) -> Step {
    let read_only = random.one_in(4);
    let mut step = request![if read_only { "BITFIELD_RO" } else { "BITFIELD" }, key(random)];
    for _ in 0..random.below(5) {
        const BAD_TYPES: [&str; 8] = ["u64", "i65", "u0", "i0", "x8", "u", "", "i-1"];
        let kind = match random.below(10) {
            0 => BAD_TYPES[random.below(8)].to_owned(),
            1..=5 => format!("u{}", 1 + random.below(63)),
            _ => format!("i{}", 1 + random.below(64)),
        };
        let at = match random.below(8) {
            0 => offset(random),
            1..=3 => format!("#{}", random.below(20)),
            _ => random.below(200).to_string(),
        };
        let mode = random.pick(&["WRAP", "SAT", "FAIL", "sat", "BOGUS"]);
        match random.below(4) {
            0 => extend(&mut step, &["GET", &kind, &at]),
            1 => extend(&mut step, &[b"SET".to_vec(), kind.into_bytes(), at.into_bytes(), integer(random)]),
            2 => extend(&mut step, &[b"INCRBY".to_vec(), kind.into_bytes(), at.into_bytes(), integer(random)]),
            _ => extend(&mut step, &["OVERFLOW", mode]),
        }
    }
    step
}

/// Edge cases.
pub const EDGES: &str = r#"
SETBIT
SETBIT k
SETBIT k 7
SETBIT k 7 1
GET k
SETBIT k 7 0
SETBIT k 7 2
SETBIT k 7 -1
SETBIT k 7 abc
SETBIT k -1 1
SETBIT k abc 1
SETBIT k 4294967296 1
SETBIT k 9223372036854775808 1
SETBIT k 100 0
STRLEN k
SET n 1
SETBIT n 6 1
GET n
EXPIRE n 100
SETBIT n 0 1
TTL n

GETBIT
GETBIT k
GETBIT k 0
SET k "\x80\x01"
GETBIT k 0
GETBIT k 15
GETBIT k 16
GETBIT k 4294967295
GETBIT k 4294967296
GETBIT k -1
GETBIT k abc
SET n 1
GETBIT n 2

BITCOUNT
BITCOUNT missing
BITCOUNT missing 0 -1
BITCOUNT missing 0
BITCOUNT missing a b
SET k foobar
BITCOUNT k
BITCOUNT k 0 0
BITCOUNT k 1 1
BITCOUNT k 0 -1
BITCOUNT k -2 -1
BITCOUNT k 5 2
BITCOUNT k -1 -3
BITCOUNT k 100 200
BITCOUNT k -100 -50
BITCOUNT k 0
BITCOUNT k a 1
BITCOUNT k 0 b
BITCOUNT k 1 1 BYTE
BITCOUNT k 5 30 BIT
BITCOUNT k 5 -5 BIT
BITCOUNT k -10 -1 bit
BITCOUNT k 30 5 BIT
BITCOUNT k 1000 2000 BIT
BITCOUNT k 5 30 HEX
BITCOUNT k 5 30 BIT extra
SET n 12345
BITCOUNT n
SET empty ""
BITCOUNT empty
BITCOUNT empty 0 -1
BITCOUNT empty 0 -1 BIT

BITPOS
BITPOS k
BITPOS missing 0
BITPOS missing 1
BITPOS missing 0 5
BITPOS missing 1 0 -1
BITPOS missing 2
SET k "\xff\xf0\x00"
BITPOS k 0
BITPOS k 1
BITPOS k 1 2
BITPOS k 0 0 0
BITPOS k 0 1
BITPOS k 1 0 -1
BITPOS k 1 -1
BITPOS k 0 5
BITPOS k 0 2 1
BITPOS k 2
BITPOS k abc
BITPOS k -1
BITPOS k 0 a
BITPOS k 0 0 b
BITPOS k 0 0 -1 BIT
BITPOS k 0 10 20 BIT
BITPOS k 1 12 -1 BIT
BITPOS k 0 0 11 BIT
BITPOS k 0 12 11 BIT
BITPOS k 0 0 -1 HEX
BITPOS k 0 0 -1 BYTE
BITPOS k 0 0 -1 BYTE more
SET k "\xff\xff\xff"
BITPOS k 0
BITPOS k 0 0
BITPOS k 0 0 -1
BITPOS k 0 1 2
BITPOS k 0 0 -1 BIT
SET k "\x00\x00"
BITPOS k 1
BITPOS k 1 0
SET e ""
BITPOS e 0
BITPOS e 1
BITPOS e 0 0 -1

BITOP
BITOP AND
BITOP AND d
BITOP BOGUS d a
BITOP NOT d a b
BITOP AND d missing
EXISTS d
MSET a foobar b abcdefgh c "\xff\x0f"
BITOP AND d a b
GET d
BITOP OR d a b c
GET d
BITOP XOR d a b
GET d
BITOP xor d a a
GET d
BITOP NOT d c
GET d
BITOP NOT d missing
EXISTS d
SET d keep
BITOP AND d missing other
EXISTS d
BITOP OR d a missing
GET d
BITOP AND d a missing
GET d
SET n 12345
BITOP OR d n
GET d
BITOP OR a a b
GET a
EXPIRE d 100
BITOP OR d b
TTL d
SET e ""
BITOP OR d e
EXISTS d

BITFIELD
BITFIELD k
BITFIELD k GET u8
BITFIELD k GET u8 0
EXISTS k
BITFIELD k SET u8 0 255
GET k
BITFIELD k GET i8 0 GET u4 0 GET i4 4 GET u8 #1
BITFIELD k SET i8 #1 -1 GET u16 0
BITFIELD k INCRBY u8 0 10
BITFIELD k INCRBY u8 0 -300
BITFIELD k OVERFLOW SAT INCRBY u8 0 300
BITFIELD k OVERFLOW SAT INCRBY u8 0 -600
BITFIELD k OVERFLOW FAIL INCRBY u8 0 300
BITFIELD k OVERFLOW FAIL SET u8 0 300 GET u8 0
BITFIELD k OVERFLOW WRAP SET u8 0 300 OVERFLOW SAT SET u8 #1 999 OVERFLOW FAIL SET u8 #2 999
BITFIELD k OVERFLOW BOGUS
BITFIELD k OVERFLOW
BITFIELD k GET u64 0
BITFIELD k GET i64 0
BITFIELD k GET u63 0
BITFIELD k GET i65 0
BITFIELD k GET u0 0
BITFIELD k GET x8 0
BITFIELD k GET u8 -1
BITFIELD k GET u8 #-1
BITFIELD k GET u8 abc
BITFIELD k GET u8 #
BITFIELD k GET u8 #abc
BITFIELD k GET u8 4294967296
BITFIELD k GET u8 #536870912
BITFIELD k SET u8 0 abc
BITFIELD k SET u8 0
BITFIELD k INCRBY u8 0 abc
BITFIELD k BOGUS u8 0
BITFIELD k SET i64 0 9223372036854775807
BITFIELD k INCRBY i64 0 1
BITFIELD k OVERFLOW SAT INCRBY i64 0 -1
BITFIELD k OVERFLOW SAT INCRBY i64 0 9223372036854775807
BITFIELD k OVERFLOW FAIL INCRBY i64 0 1
BITFIELD k SET i5 3 -17 GET i5 3
BITFIELD k OVERFLOW SAT SET i5 3 -17 GET i5 3
BITFIELD k SET u63 0 9223372036854775807 GET u63 0
BITFIELD k OVERFLOW SAT SET u8 0 -1
BITFIELD k SET u8 0 -1 GET u8 0
BITFIELD grow GET u8 1000
STRLEN grow
BITFIELD grow SET u8 1000 1
STRLEN grow
BITFIELD nofit OVERFLOW FAIL SET u2 0 9
EXISTS nofit
BITFIELD_RO k GET u8 0
BITFIELD_RO k
BITFIELD_RO missing GET u8 0
BITFIELD_RO k SET u8 0 1
BITFIELD_RO k GET u8 0 OVERFLOW SAT
BITFIELD_RO k INCRBY u8 0 1
SET n 5
BITFIELD n INCRBY u8 0 1
GET n
"#;
