//! SCAN: as a set, since where a cursor stands is the server's own business.

use super::common::Random;
use super::generate::{key, value};
use super::step::Step;
use crate::request;

/// Adds keys, removes some, walks over them.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    match random.below(8) {
        0 | 1 => {
            let prefix = random.pick(&["user:", "x", "k"]);
            let mut arguments = vec![b"MSET".to_vec()];
            for _ in 0..1 + random.below(60) {
                arguments.push(format!("{prefix}{}", random.below(500)).into_bytes());
                arguments.push(b"1".to_vec());
            }
            steps.push(Step::Request { connection: 0, arguments });
        }
        2 => steps.push(request!["DEL", format!("x{}", random.below(500)), format!("k{}", random.below(500))]),
        3 => steps.push(request!["SET", key(random), value(random)]),
        4 => steps.push(request!["DBSIZE"]),
        5 => steps.push(request!["KEYS", random.pick(&["*", "x*", "user:?", "user:1*", "[^u]*", "k1[0-4]?"])]),
        _ => {
            let mut options = Vec::new();
            let mut add = |words: &[&str]| options.extend(words.iter().map(|word| word.as_bytes().to_vec()));
            if random.one_in(2) {
                add(&["MATCH", random.pick(&["*", "x*", "user:?", "*1", "nothing", "k[0-9]"])]);
            }
            if random.one_in(2) {
                add(&["COUNT", random.pick(&["1", "3", "10", "100", "100000"])]);
            }
            if random.one_in(3) {
                add(&["TYPE", random.pick(&["string", "STRING", "list", "hash"])]);
            }
            steps.push(Step::ScanAll { options });
        }
    }
}

/// Edge cases.
pub const EDGES: &str = r#"
SCAN
SCAN 0
SCAN abc
SCAN -1
SCAN 18446744073709551616
SCAN ""
SCAN " 0"
SCAN 0 BOGUS
SCAN 0 MATCH
SCAN 0 COUNT
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT abc
SCAN 0 COUNT 9223372036854775807
SCAN 0 TYPE
SCAN 0 TYPE bogus
SCAN 0 MATCH * COUNT 10 TYPE string
SCAN 0 MATCH * MATCH k*
scanall

MSET a 1 b 2 c 3 user:1 x user:2 y user:10 z
scanall
scanall COUNT 1
scanall COUNT 1000
scanall MATCH user:*
scanall MATCH user:?
scanall MATCH a COUNT 1
scanall MATCH zzz
scanall TYPE string
scanall TYPE list
scanall TYPE set
scanall TYPE zset
scanall TYPE hash
scanall TYPE stream
scanall match USER* count 2 type STRING
SELECT 1
scanall
SELECT 0
EXPIRE a -1
scanall
FLUSHDB
scanall
"#;
