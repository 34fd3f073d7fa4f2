//! Strings: SET and its options, numbers, ranges, many keys at once, LCS.

use super::common::Random;
use super::generate::{extend, float, integer, key, value};
use super::step::Step;
use crate::request;

/// Seconds that no test lives to see the end of.
const LATER: [&str; 3] = ["5000", "100000", "9999999"];

/// Adds a random command.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let k = key(random);
    let step = match random.below(26) {
        0..=2 => request!["SET", k, value(random)],
        3 | 4 => set(random),
        5 | 6 => request!["GET", k],
        7 => request!["GETDEL", k],
        8 => getex(random),
        9 => request!["GETSET", k, value(random)],
        10 => request!["SETNX", k, value(random)],
        11 => {
            let name = random.pick(&["SETEX", "PSETEX"]);
            let time = if random.one_in(3) { "0" } else { LATER[random.below(3)] };
            let time = if name == "PSETEX" && time != "0" { format!("{time}000") } else { time.to_owned() };
            request![name, k, time, value(random)]
        }
        12 => request!["MGET", k, key(random), key(random)],
        13 => {
            let name = random.pick(&["MSET", "MSETNX"]);
            request![name, k, value(random), key(random), value(random)]
        }
        14 | 15 => request!["APPEND", k, value(random)],
        16 => request!["STRLEN", k],
        17 | 18 => {
            let name = random.pick(&["GETRANGE", "SUBSTR"]);
            request![name, k, integer(random), integer(random)]
        }
        19 => {
            const OFFSETS: [&str; 6] = ["-1", "536870912", "9223372036854775807", "abc", "0", ""];
            let offset =
                if random.one_in(4) { OFFSETS[random.below(6)].to_owned() } else { random.below(300).to_string() };
            request!["SETRANGE", k, offset, value(random)]
        }
        20 => {
            let name = random.pick(&["INCR", "DECR"]);
            request![name, k]
        }
        21 | 22 => {
            let name = random.pick(&["INCRBY", "DECRBY"]);
            request![name, k, integer(random)]
        }
        23 => request!["INCRBYFLOAT", k, float(random)],
        _ => lcs(random),
    };
    steps.push(step);
}

fn set(random: &mut Random) -> Step {
    let mut step = request!["SET", key(random), value(random)];
    for _ in 0..1 + random.below(3) {
        match random.below(7) {
            0 => extend(&mut step, &["NX"]),
            1 => extend(&mut step, &["XX"]),
            2 => extend(&mut step, &["GET"]),
            3 => extend(&mut step, &["KEEPTTL"]),
            4 => extend(&mut step, &["EX", LATER[random.below(3)]]),
            5 => extend(&mut step, &["PXAT", "99999999999999"]),
            _ => {
                const BAD: [&str; 4] = ["0", "-1", "abc", "9223372036854775807"];
                let option = random.pick(&["EX", "PX", "EXAT", "PXAT", "KEEPTTL", "ABC"]);
                extend(&mut step, &[option, BAD[random.below(4)]]);
            }
        }
    }
    step
}

fn getex(random: &mut Random) -> Step {
    let mut step = request!["GETEX", key(random)];
    match random.below(6) {
        0 => extend(&mut step, &["PERSIST"]),
        1 => extend(&mut step, &["EX", LATER[random.below(3)]]),
        2 => extend(&mut step, &["PXAT", "99999999999999"]),
        3 => extend(&mut step, &["EXAT", "1"]),
        4 => extend(&mut step, &["EX", "0"]),
        _ => {}
    }
    step
}

fn lcs(random: &mut Random) -> Step {
    let mut step = request!["LCS", key(random), key(random)];
    for _ in 0..random.below(3) {
        match random.below(4) {
            0 => extend(&mut step, &["LEN"]),
            1 => extend(&mut step, &["IDX"]),
            2 => extend(&mut step, &["WITHMATCHLEN"]),
            _ => extend(&mut step, &[b"MINMATCHLEN".to_vec(), integer(random)]),
        }
    }
    step
}

/// Edge cases.
pub const EDGES: &str = r#"
SET
SET k
SET k v
GET k
GET
GET a b
set k v2
gEt k
SET k v NX
SET k v XX
SET k v XX NX
SET missing v XX
SET k v3 GET
SET fresh v GET
SET fresh2 v NX GET
SET fresh2 other NX GET
GET fresh2
SET absent v XX GET
SET k v NX XX GET
SET k v nx
SET k v BOGUS
SET k v EX
SET k v EX 0
SET k v EX -1
SET k v EX abc
SET k v EX 1.5
SET k v EX 9223372036854775807
SET k v EX 9223372036854775
SET k v PX 9223372036854775807
SET k v PX 0
SET k v PX -5
SET k v EXAT 0
SET k v PXAT 0
SET k v EXAT -1
SET k v EXAT 1
GET k
SET k v
SET k v PXAT 1
GET k
EXISTS k
SET k v EX 100 PX 100
SET k v EX 100 KEEPTTL
SET k v KEEPTTL EX 100
SET k v EX 100 NX
TTL k
SET k v2 KEEPTTL
TTL k
SET k v2
TTL k
SET k v EX 1000 GET
SET k v EXAT 99999999999
EXPIRETIME k
SET k v PXAT 99999999999123
PEXPIRETIME k
SET k v KEEPTTL KEEPTTL
SET k v EX 100 EX 100
SET k v GET GET
SET k v NX NX
SET "" empty-key
GET ""
SET "bin\x00\r\n" "val\x00\r\n\xff"
GET "bin\x00\r\n"

GETDEL
GETDEL k
SET k v
GETDEL k
GET k
GETDEL a b

GETEX
GETEX k
SET k v
GETEX k
GETEX k EX 100
TTL k
GETEX k PERSIST
TTL k
GETEX k PX 100000
PTTL k
GETEX k EXAT 99999999999
EXPIRETIME k
GETEX k PXAT 99999999999999
PEXPIRETIME k
GETEX k EX 0
GETEX k EX -1
GETEX k EX abc
GETEX k PX 0
GETEX k EXAT 0
GETEX k PERSIST EX 100
GETEX k EX 100 PERSIST
GETEX k EX
GETEX k NX
GETEX k KEEPTTL
GETEX k EX 9223372036854775807
GETEX k PXAT 1
GET k
GETEX missing EX 0
GETEX missing BOGUS

GETSET
GETSET k
GETSET k v
GETSET k w
GET k
EXPIRE k 100
GETSET k x
TTL k

SETNX k v
SETNX k w
GET k
SETNX k
SETNX
SETEX k 100 v
TTL k
SETEX k 0 v
SETEX k -1 v
SETEX k abc v
SETEX k 9223372036854775807 v
SETEX k 100
PSETEX k 100000 v
PTTL k
PSETEX k 0 v
PSETEX k -1 v
PSETEX k abc v
PSETEX k 9223372036854775807 v
PSETEX k

MGET
MGET a
MSET
MSET a
MSET a 1 b
MSET a 1 b 2 a 3
MGET a b c a
MSETNX
MSETNX a
MSETNX x 1 a 2
MGET x a
MSETNX x 1 y 2
MGET x y
MSETNX z 1 z 2
GET z
EXPIRE a 100
MSET a 5
TTL a

APPEND
APPEND k
APPEND k hello
APPEND k ""
APPEND k " world"
GET k
OBJECT ENCODING k
SET n 12
OBJECT ENCODING n
APPEND n 3
OBJECT ENCODING n
GET n
INCR n
OBJECT ENCODING n
EXPIRE n 100
APPEND n 4
TTL n
STRLEN
STRLEN k
STRLEN missing
STRLEN n
STRLEN k extra

SET k "This is a string"
GETRANGE k 0 3
GETRANGE k -3 -1
GETRANGE k 0 -1
GETRANGE k 10 100
GETRANGE k 100 200
GETRANGE k 5 2
GETRANGE k -1 -5
GETRANGE k -100 3
GETRANGE k -100 -50
GETRANGE k 0 -100
GETRANGE missing 0 -1
GETRANGE k a 1
GETRANGE k 0 b
GETRANGE k 0
GETRANGE k 0 9223372036854775807
GETRANGE k -9223372036854775808 -1
GETRANGE k 0 9223372036854775808
SUBSTR k 0 3
SUBSTR k
SET n 12345
GETRANGE n 1 3

SETRANGE k 6 Redis
GET k
SETRANGE k 0 Hello
GET k
SETRANGE k -1 x
SETRANGE k abc x
SETRANGE missing 5 ""
EXISTS missing
SETRANGE k 536870912 x
SETRANGE k 536870907 abcdefgh
SETRANGE k 9223372036854775807 xx
SETRANGE k 3
SETRANGE k 100 ""
STRLEN k
SET n 123
SETRANGE n 1 9
GET n
OBJECT ENCODING n

INCR
INCR n
INCR n extra
DECR n
DECR n
INCRBY n 10
INCRBY n -20
INCRBY n abc
INCRBY n 1.5
INCRBY n 9223372036854775808
INCRBY n ""
INCRBY n " 1"
INCRBY n +1
INCRBY n 01
INCRBY n -0
INCRBY n
DECRBY n 5
DECRBY n -9223372036854775808
DECRBY n -9223372036854775807
SET n 9223372036854775807
INCR n
INCRBY n 1
DECRBY n -1
GET n
SET n -9223372036854775808
DECR n
INCRBY n -1
GET n
SET n 9223372036854775808
INCR n
SET n "10 "
INCR n
SET n " 10"
INCR n
SET n ""
INCR n
SET n 0x10
INCR n
SET n 007
INCR n
SET n 1.0
INCR n
SET n -0
INCR n
SET n 5
EXPIRE n 100
INCR n
TTL n

INCRBYFLOAT
INCRBYFLOAT f
INCRBYFLOAT f 0.1
INCRBYFLOAT f 0.2
INCRBYFLOAT f -0.3
INCRBYFLOAT f 3.0e3
INCRBYFLOAT f 5.0e-3
INCRBYFLOAT f abc
INCRBYFLOAT f ""
INCRBYFLOAT f " 1"
INCRBYFLOAT f "1 "
INCRBYFLOAT f inf
INCRBYFLOAT f -inf
INCRBYFLOAT f nan
INCRBYFLOAT f 1e400
INCRBYFLOAT f 0x10
SET f 3
INCRBYFLOAT f 1
GET f
OBJECT ENCODING f
SET f 1.5
INCRBYFLOAT f 1.5
GET f
SET f 1e17
INCRBYFLOAT f 1
SET f 5.0e3
INCRBYFLOAT f 200
SET f 10.50
INCRBYFLOAT f 0.1
INCRBYFLOAT f -5
SET f abc
INCRBYFLOAT f 1
SET f " 1"
INCRBYFLOAT f 1
SET f 9223372036854775807
INCRBYFLOAT f 1
SET f 123456789012345678
INCRBYFLOAT f 0.5
SET f 0.000000000000000001
INCRBYFLOAT f 0
SET f 1e300
INCRBYFLOAT f 1
SET f 1e4000
INCRBYFLOAT f 1e4000
SET f 10
EXPIRE f 100
INCRBYFLOAT f 1
TTL f

MSET a ohmytext b mynewtext
LCS a b
LCS a b LEN
LCS a b IDX
LCS a b IDX MINMATCHLEN 4
LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
LCS a b IDX WITHMATCHLEN
LCS a b LEN IDX
LCS a b MINMATCHLEN
LCS a b MINMATCHLEN abc
LCS a b IDX MINMATCHLEN -1
LCS a b BOGUS
LCS a
LCS
LCS a missing
LCS missing other
LCS missing other LEN
LCS missing other IDX
LCS a a IDX
SET n 12345
SET m 345
LCS n m
LCS n m IDX WITHMATCHLEN

SET k 1
OBJECT ENCODING k
SET k 12345678901234567890
OBJECT ENCODING k
SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
OBJECT ENCODING k
SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
OBJECT ENCODING k
SET k 007
OBJECT ENCODING k
SET k -5
OBJECT ENCODING k
SET k -0
OBJECT ENCODING k
SET k 9223372036854775807
OBJECT ENCODING k
SET k 9223372036854775808
OBJECT ENCODING k
SET k ""
OBJECT ENCODING k
SET k 1
INCRBYFLOAT k 1
OBJECT ENCODING k
SETRANGE e 0 ab
OBJECT ENCODING e
SETBIT bit 1 1
OBJECT ENCODING bit
GETSET k 5
OBJECT ENCODING k
MSET k 5
OBJECT ENCODING k
"#;
