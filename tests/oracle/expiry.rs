//! Times to live, with margins so large that a slow machine changes no reply.

use super::common::Random;
use super::generate::{extend, key, value};
use super::step::Step;
use crate::request;

/// Adds a random command.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let k = key(random);
    let step = match random.below(18) {
        0..=2 => request!["SET", k, value(random)],
        3 => request!["SET", k, value(random), "EX", "50000"],
        4..=9 => {
            // Relative times are far or past; absolute ones are in 2001 or in the year 5138.
            const SECONDS: [&str; 7] = ["5000", "70000", "800000", "-1", "0", "-5000", "9000000000000000000"];
            const MILLISECONDS: [&str; 6] = ["5000000", "70000000", "-1", "0", "-99", "9223372036854775807"];
            const AT: [&str; 6] = ["99999999999", "99999999990", "1000000000", "0", "-1", "9223372036854775807"];
            const MILLISECONDS_AT: [&str; 5] = ["99999999999999", "99999999999000", "1000000000000", "0", "-1"];
            let mut step = match random.below(4) {
                0 => request!["EXPIRE", k, SECONDS[random.below(7)]],
                1 => request!["PEXPIRE", k, MILLISECONDS[random.below(6)]],
                2 => request!["EXPIREAT", k, AT[random.below(6)]],
                _ => request!["PEXPIREAT", k, MILLISECONDS_AT[random.below(5)]],
            };
            for _ in 0..[0, 0, 1, 1, 2][random.below(5)] {
                extend(&mut step, &[random.pick(&["NX", "XX", "GT", "LT", "gt", "BOGUS"])]);
            }
            step
        }
        10..=13 => request![random.pick(&["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), k],
        14 | 15 => request!["PERSIST", k],
        16 => request!["GET", k],
        _ => request!["EXISTS", k, key(random)],
    };
    steps.push(step);
}

/// Edge cases.
pub const EDGES: &str = r#"
EXPIRE
EXPIRE k
EXPIRE k 100
TTL k
PTTL k
EXPIRETIME k
PEXPIRETIME k
SET k v
TTL k
PTTL k
EXPIRETIME k
PEXPIRETIME k
EXPIRE k 1000
TTL k
PTTL k
EXPIRE k 1000 NX
EXPIRE k 2000 XX
EXPIRE k 1000 GT
EXPIRE k 3000 GT
EXPIRE k 5000 LT
EXPIRE k 1000 LT
TTL k
PERSIST k
PERSIST k
PERSIST missing
PERSIST
EXPIRE k 1000 XX
EXPIRE k 1000 GT
TTL k
EXPIRE k 1000 LT
TTL k
EXPIRE k 1000 NX XX
EXPIRE k 1000 NX GT
EXPIRE k 1000 NX LT
EXPIRE k 1000 GT LT
EXPIRE k 9000 XX GT
EXPIRE k 800 XX LT
EXPIRE k 1000 BOGUS
EXPIRE k 1000 ""
EXPIRE k 1000 "\xff\xfe"
EXPIRE k 1000 "cut\x00off"
EVAL "return redis.pcall('EXPIRE','k','1000','')" 0
EXPIRE k 1000 NX BOGUS
EXPIRE k 1000 NX NX
EXPIRE k abc
EXPIRE k 1.5
EXPIRE k ""
EXPIRE k 9223372036854775807
EXPIRE k 9223372036854775
EXPIRE k 9223372036854776
EXPIRE k -9223372036854775808
EXPIRE k -9223372036854775807
PEXPIRE k 9223372036854775807
PEXPIRE k 9223372036854775000
EXPIREAT k 9223372036854775807
EXPIREAT k -9223372036854775808
PEXPIREAT k 9223372036854775807
PEXPIRETIME k
EXISTS k
EXPIRE k -1
EXISTS k
EXPIRE k -1

SET k v
EXPIRE k 0
EXISTS k
SET k v
PEXPIRE k 0
EXISTS k
SET k v
EXPIREAT k 0
EXISTS k
SET k v
EXPIREAT k 1000000000
GET k
SET k v
PEXPIREAT k -1
GET k
SET k v
EXPIREAT k 99999999999
EXPIRETIME k
PEXPIRETIME k
PEXPIREAT k 99999999999999
EXPIRETIME k
PEXPIRETIME k
PEXPIREAT k 99999999999500
EXPIRETIME k
PEXPIREAT k 99999999999499
EXPIRETIME k
EXPIRE k -1 GT
EXISTS k
EXPIRE k -1 NX
EXISTS k
EXPIRE k -1 LT
EXISTS k

SET k v
PEXPIRE k 1000000
PTTL k
TTL k
PEXPIRE k abc
PEXPIRE k
EXPIREAT k
EXPIREAT k abc
PEXPIREAT k
PEXPIREAT k abc
TTL
TTL k extra
PTTL
EXPIRETIME
PEXPIRETIME
expire k 1000 nx

SET k v PX 20
sleep 60
GET k
EXISTS k
TTL k
TYPE k
DBSIZE
SET k v PX 20
sleep 60
SET k v NX
GET k

SET k v PX 20
SET other v
sleep 60
KEYS *
scanall MATCH *
RANDOMKEY
MGET k other
APPEND k x
GET k
TTL k
PERSIST k

SET k 5 PX 20
sleep 60
INCR k
TTL k
SET k v PX 20
sleep 60
RENAME k j
COPY k j
MOVE k 1
EXPIRE k 100
GETDEL k
GETEX k
OBJECT ENCODING k
STRLEN k
SETRANGE k 2 x
GET k
DEL k

SET k v PX 20
SET j v PX 20
sleep 60
DEL k
UNLINK j
EXISTS k j
DEBUG SET-ACTIVE-EXPIRE 0
SET k v PX 20
sleep 60
GET k
DEBUG SET-ACTIVE-EXPIRE 1
"#;
