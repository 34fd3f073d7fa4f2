//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::common::Random;
use super::generate::{key, value};
use super::step::Step;
use super::{bits, expiry, keys, strings};
use crate::request;

/// Adds a transaction, mostly whole, perhaps watching what another connection changes.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    if random.one_in(8) {
        steps.push(request![random.pick(&["MULTI", "EXEC", "DISCARD", "UNWATCH"])]);
        return;
    }
    let watched = key(random);
    if random.one_in(2) {
        steps.push(request!["WATCH", watched, key(random)]);
        if random.one_in(3) {
            steps.push(Step::on(1, &[b"SET".to_vec(), watched.clone(), value(random)]));
        }
        if random.one_in(6) {
            steps.push(request!["UNWATCH"]);
        }
    }
    steps.push(request!["MULTI"]);
    for _ in 0..random.below(5) {
        match random.below(8) {
            0 => steps.push(Step::on(1, &[b"APPEND".to_vec(), watched.clone(), b"x".to_vec()])),
            1 => bits::generate(random, steps),
            2 => expiry::generate(random, steps),
            3 => keys::generate(random, steps),
            4 if random.one_in(3) => steps.push(request![random.pick(&["BOGUS", "WATCH", "MULTI", "GET", "SELECT"])]),
            _ => strings::generate(random, steps),
        }
    }
    steps.push(request![if random.one_in(8) { "DISCARD" } else { "EXEC" }]);
    steps.push(request!["GET", watched]);
}

/// Edge cases.
pub const EDGES: &str = r#"
EXEC
DISCARD
EXEC x
DISCARD x
MULTI x
MULTI
EXEC
MULTI
MULTI
SET a 1
EXEC
GET a
MULTI
SET a 2
DISCARD
GET a
DISCARD

MULTI
SET a 1
INCR a
GET a
MGET a b
EXEC
MULTI
SET s abc
INCR s
SET t 1
EXEC
MGET s t

MULTI
GET none
HELLO 3
GET none
LCS a a IDX
HELLO 2
GET none
EXEC
GET none
MULTI
HELLO 2
GET none
HELLO 3
EXEC
GET none
HELLO 2

MULTI
SET a 1
BOGUS
SET b 2
EXEC
MGET a b
MULTI
GET
EXEC
MULTI
SET a
DISCARD
EXEC

WATCH
WATCH a
MULTI
WATCH b
UNWATCH
SET a 1
EXEC
UNWATCH x

SET a 1
WATCH a
SET a 2
MULTI
SET b 1
EXEC
EXISTS b
MULTI
SET b 1
EXEC

WATCH a
2> SET a 1
MULTI
PING
EXEC
WATCH a
2> GET a
2> SET other 1
MULTI
PING
EXEC
WATCH a
2> SET a 1
UNWATCH
MULTI
PING
EXEC
WATCH a
2> DEL a
MULTI
PING
EXEC
WATCH missing
2> SET missing 1
2> DEL missing
MULTI
PING
EXEC
WATCH missing
2> DEL missing
MULTI
PING
EXEC

SET a 1
WATCH a
2> EXPIRE a 1000
MULTI
PING
EXEC
WATCH a
2> PERSIST a
MULTI
PING
EXEC
WATCH a
2> PERSIST a
MULTI
PING
EXEC
WATCH a
2> SETRANGE a 0 ""
MULTI
PING
EXEC
WATCH a
2> SET a 1 NX
MULTI
PING
EXEC
WATCH a
2> TOUCH a
MULTI
PING
EXEC

SET a 1
WATCH a
2> FLUSHDB
MULTI
PING
EXEC
WATCH a
2> FLUSHDB
MULTI
PING
EXEC
SET a 1
WATCH a
2> SELECT 1
2> SET a 1
2> SELECT 0
MULTI
PING
EXEC
WATCH a
2> RENAME a b
MULTI
PING
EXEC
WATCH a
2> RENAME b a
MULTI
PING
EXEC
WATCH a
2> MULTI
2> SET a 5
2> EXEC
MULTI
PING
EXEC

SET a 1 PXAT 99999999999999
WATCH a
2> GETEX a PXAT 99999999999999
MULTI
PING
EXEC
WATCH a
2> PEXPIREAT a 99999999999999
MULTI
PING
EXEC
WATCH a
2> GETEX a
MULTI
PING
EXEC

SET a 1 PX 30
WATCH a
sleep 80
MULTI
PING
EXEC
SET a 1 PX 20
sleep 60
WATCH a
MULTI
PING
EXEC

WATCH a
2> SET a 1
MULTI
SET a 2
DISCARD
MULTI
PING
EXEC
WATCH a
EXEC x
2> SET a 4
MULTI
PING
EXEC
WATCH a
2> SET a 3
MULTI
BOGUS
EXEC
GET a

MULTI
SELECT 1
SET a in-one
SELECT 0
SET a in-zero
EXEC
GET a
SELECT 1
GET a
MULTI
SELECT 0
EXEC
GET a
MULTI
SELECT 99
EXEC

MULTI
EVAL "redis.call('SET','a','1') return redis.call('GET','a')" 1 a
EVAL "return redis.error_reply('MYERR oops')" 0
EVAL "error('raised')" 0
GET a
FLUSHALL
GET a
EXEC

MULTI
CLIENT GETNAME
PING
ECHO x
TYPE a
DBSIZE
EXEC
MULTI
CONFIG GET databases
EXEC
MULTI
SET a 1
CONFIG GET timeout
CONFIG SET timeout 100
GET a
CONFIG GET timeout
CONFIG SET timeout 0 bogus-setting 1
CONFIG SET timeout 0
INCR a
CONFIG GET timeout
SLOWLOG RESET
SLOWLOG LEN
SELECT 3
SET a in-three
CLIENT GETNAME
CLIENT LIST ID 999999999
GET a
EXEC
GET a
SELECT 0
GET a
WATCH a
2> SET a 1
MULTI
CONFIG SET timeout 100
SET a 2
EXEC
CONFIG GET timeout
GET a
MULTI
SCRIPT LOAD "return redis.call('GET',KEYS[1])"
EVALSHA 7a4ee4e8e0ce8b5ae2cd60e1e2d9c6d5dbc6b6b0 1 a
SCRIPT EXISTS 4e6d8fc8bb01276962cce5371fa795a7763657ae
EVALSHA 4e6d8fc8bb01276962cce5371fa795a7763657ae 1 a
DEBUG OBJECT missing
CONFIG NOPE
EXEC
MULTI
SCRIPT LOAD "return redis.call('GET',KEYS[1])"
EVALSHA 620cd258c2c9c88c9d10db67812ccf663d96bdc6 1 a
DEBUG OBJECT missing
DEBUG SLEEP 0
EXEC
SET b 2
MULTI
CONFIG RESETSTAT
DEL b
MEMORY DOCTOR
EXISTS b
EXEC
MULTI
SET a 1
RESET
EXEC
GET a
MULTI
SET a 1
QUIT
"#;
