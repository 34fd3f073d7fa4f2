//! Keys whatever their type: existence, removal, names, copies, databases, OBJECT.

use super::common::Random;
use super::generate::{extend, key, value};
use super::step::Step;
use crate::request;

/// Adds a random command, or two that belong together.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let k = key(random);
    let step = match random.below(24) {
        0..=3 => request!["SET", k, value(random)],
        4 => request!["SET", k, value(random), "EX", "100000"],
        5..=8 => {
            let name = random.pick(&["DEL", "UNLINK", "EXISTS", "TOUCH"]);
            let mut step = request![name, k];
            (0..random.below(3)).for_each(|_| extend(&mut step, &[key(random)]));
            step
        }
        9 => request!["TYPE", k],
        10..=12 => {
            let name = random.pick(&["RENAME", "RENAMENX"]);
            request![name, k, key(random)]
        }
        13..=15 => {
            let mut step = request!["COPY", k, key(random)];
            if random.one_in(2) {
                extend(&mut step, &["DB", &database(random)]);
            }
            if random.one_in(2) {
                extend(&mut step, &["REPLACE"]);
            }
            step
        }
        16 | 17 => request!["MOVE", k, database(random)],
        18 => request!["SELECT", random.below(3).to_string()],
        19 => request!["DBSIZE"],
        20 => {
            let name = random.pick(&["KEYS *", "KEYS k?", "KEYS k[0-2]", "KEYS *bin", "RANDOMKEY", "DBSIZE"]);
            let words: Vec<&str> = name.split(' ').collect();
            Step::request(&words)
        }
        21 => request!["OBJECT", random.pick(&["ENCODING", "REFCOUNT", "IDLETIME", "FREQ"]), k],
        22 if random.one_in(4) => request![random.pick(&["FLUSHDB", "FLUSHALL"])],
        _ => request!["GET", k],
    };
    steps.push(step);
}

fn database(random: &mut Random) -> String {
    const BAD: [&str; 5] = ["16", "-1", "abc", "", "4294967297"];
    if random.one_in(8) { BAD[random.below(5)].to_owned() } else { random.below(4).to_string() }
}

/// Edge cases.
pub const EDGES: &str = r#"
DEL
DEL missing
MSET a 1 b 2 c 3
DEL a b missing a
EXISTS
EXISTS c
EXISTS c c c missing
UNLINK
UNLINK c missing
TOUCH
TOUCH c
SET c 1
TOUCH c c missing
TYPE
TYPE c
TYPE missing
TYPE c d

RENAME
RENAME a
RENAME missing b
SET a 1
RENAME a a
RENAME missing missing
RENAME a b
MGET a b
SET a 2 EX 1000
RENAME a b
TTL b
GET b
SET c 3
RENAME c b
TTL b
RENAMENX
RENAMENX missing x
RENAMENX b b
SET x 1
RENAMENX b x
RENAMENX b y
MGET b y

COPY
COPY a
COPY missing b
SET a 1 EX 1000
COPY a a
COPY a a DB 0
COPY a a DB 0 REPLACE
COPY a b
GET b
TTL b
SET a 2
COPY a b
COPY a b REPLACE
TTL b
COPY a b DB 1
COPY a b DB 1
COPY a b DB 1 REPLACE
COPY a b DB 16
COPY a b DB -1
COPY a b DB abc
COPY a b DB
COPY a b BOGUS
COPY a a DB 2
SELECT 1
KEYS *
SELECT 2
KEYS *

MOVE
MOVE a
MOVE a 1
SET a 1 EX 1000
MOVE a 0
MOVE a 16
MOVE a -1
MOVE a abc
MOVE a 1
EXISTS a
MOVE missing 1
SELECT 1
GET a
TTL a
SELECT 0
SET a 2
MOVE a 1
GET a

SELECT
SELECT 15
SELECT 16
SELECT -1
SELECT abc
SELECT 1 2
SELECT 9223372036854775808
SET in15 1
SELECT 0
EXISTS in15

KEYS
KEYS *
MSET hello 1 hallo 2 hxllo 3 hllo 4 heello 5 "h[llo" 6 "a*b" 7
KEYS h?llo
KEYS h*llo
KEYS h[ae]llo
KEYS h[^e]llo
KEYS h[a-b]llo
KEYS h[b-a]llo
KEYS "h\\[llo"
KEYS "a\\*b"
KEYS h[llo
KEYS h[^
KEYS [
KEYS ""
KEYS ****
KEYS hello
KEYS HELLO
KEYS * extra
KEYS "*\\"
RANDOMKEY
DBSIZE
DBSIZE x
FLUSHDB
DBSIZE
RANDOMKEY
RANDOMKEY x

SET a 1
FLUSHDB ASYNC
SET a 1
FLUSHDB SYNC
SET a 1
FLUSHDB BOGUS
EXISTS a
FLUSHDB SYNC ASYNC
FLUSHALL BOGUS
SELECT 3
SET b 1
FLUSHALL ASYNC
DBSIZE
SELECT 0
DBSIZE
FLUSHALL SYNC
FLUSHALL sync extra

OBJECT
OBJECT BOGUS
OBJECT BOGUS k
OBJECT "\xff\xfe" k
OBJECT "cut\x00off" k
OBJECT ENCODING
OBJECT ENCODING missing
OBJECT ENCODING a b
OBJECT REFCOUNT missing
OBJECT IDLETIME missing
OBJECT FREQ missing
SET k v
OBJECT REFCOUNT k
OBJECT IDLETIME k
OBJECT FREQ k
OBJECT HELP
OBJECT HELP extra
object encoding k
MEMORY USAGE k
MEMORY USAGE missing
MEMORY USAGE k SAMPLES 5
MEMORY USAGE k SAMPLES
MEMORY USAGE k SAMPLES -1
MEMORY USAGE k SAMPLES abc
MEMORY USAGE k BOGUS 1
MEMORY USAGE
MEMORY
MEMORY BOGUS
MEMORY HELP
"#;
