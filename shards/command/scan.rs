//! Commands over the whole keyspace. Each handler answers for its own shard.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Join, Keys, Run, flag};
use crate::command::cursor::Cursor;
use crate::command::failure::Failure;
use crate::command::row::row;
use crate::glob::{Case, matches};
use crate::keyspace::{Text, canonical_integer};
use crate::reply::ReplySink;

/// How many keys SCAN looks at in a call unless COUNT says otherwise.
const SCAN_COUNT: usize = 10;

/// SCAN's options.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
    /// How many keys to look at.
    count: usize,
}

impl<'a> Filter<'a> {
    fn parse(options: &[&'a [u8]]) -> Result<Self, Failure> {
        let mut filter = Filter { pattern: None, type_name: None, count: SCAN_COUNT };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().copied().ok_or(Failure::Syntax);
            if option.eq_ignore_ascii_case(b"count") {
                let count = canonical_integer(value()?).ok_or(Failure::NotInteger)?;
                filter.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(Failure::Syntax)?;
            } else if option.eq_ignore_ascii_case(b"match") {
                filter.pattern = Some(value()?);
            } else if option.eq_ignore_ascii_case(b"type") {
                filter.type_name = Some(value()?);
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(filter)
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`, run in the shard that the cursor names.
fn scan(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    scan_within(call, arguments, reply, false)
}

/// SCAN through this shard and the ones after it, or with `single` through this shard alone (a shard's own port).
///
/// # Errors
/// An invalid cursor or option.
pub fn scan_within(
    call: &mut Call<'_>,
    arguments: Arguments<'_>,
    reply: &mut dyn ReplySink,
    single: bool,
) -> Result<(), Failure> {
    let cursor = Cursor::decode(arguments[1])?;
    let filter = Filter::parse(&arguments[2..])?;
    let mut keys: Vec<Text> = Vec::new();
    let mut next = None;
    // On a shard's own port the position alone counts. Otherwise a cursor of another shard ends the walk here, rather than
    // starting it anew, should it come to the wrong one.
    let here = single || cursor == Cursor::START || cursor.shard == call.shard;
    if here && (single || cursor.exists(call.shards)) {
        let reached = call.keyspace.scan(call.db, cursor.position, filter.count, &mut |entry| {
            let wanted =
                filter.type_name.is_none_or(|name| name.eq_ignore_ascii_case(entry.value().type_name().as_bytes()))
                    && filter.pattern.is_none_or(|pattern| matches(pattern, entry.key(), Case::Sensitive));
            if wanted {
                keys.push(Text::new(entry.key()));
            }
        });
        next = Cursor::after(call.shard, reached, call.shards, single);
    }
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next.map_or(0, Cursor::encode)).as_bytes());
    reply.array(keys.len());
    for key in &keys {
        reply.bulk(key.as_bytes());
    }
    Ok(())
}

/// `KEYS pattern`.
fn keys(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let pattern = arguments[1];
    let found: Vec<&[u8]> = call
        .keyspace
        .entries(call.db)
        .map(|entry| entry.key())
        .filter(|key| pattern == b"*" || matches(pattern, key, Case::Sensitive))
        .collect();
    reply.array(found.len());
    for key in found {
        reply.bulk(key);
    }
    Ok(())
}

/// `RANDOMKEY`, of this shard.
fn randomkey(call: &mut Call<'_>, _: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match call.keyspace.random(call.db, call.entropy.next_u64()) {
        Some(entry) => reply.bulk(entry.key()),
        None => reply.null(),
    }
    Ok(())
}

/// `DBSIZE`, of this shard.
fn dbsize(call: &mut Call<'_>, _: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    call.keyspace.depend_on_database(call.db);
    reply.integer(call.keyspace.len(call.db) as i64);
    Ok(())
}

/// `FLUSHDB [ASYNC | SYNC]`: what it removed is freed in slices either way.
fn flushdb(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    flush_mode(arguments)?;
    flush(call, call.db);
    reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`.
fn flushall(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    flush_mode(arguments)?;
    for db in 0..call.databases {
        flush(call, db);
    }
    reply.ok();
    Ok(())
}

fn flush_mode(arguments: Arguments<'_>) -> Result<(), Failure> {
    match &arguments[1..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync") => Ok(()),
        _ => Err(Failure::Syntax),
    }
}

/// An empty database is left alone: its emptiness may still depend on an entry that is not committed.
fn flush(call: &mut Call<'_>, db: u8) {
    if call.keyspace.len(db) == 0 {
        call.keyspace.depend_on_database(db);
    } else {
        call.keyspace.flush(db);
    }
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("dbsize", 1, flag::READONLY | flag::FAST, Keys::None, Run::EveryShard(dbsize, Join::Sum)),
    row("flushall", -1, flag::WRITE, Keys::None, Run::EveryShard(flushall, Join::AllOk)),
    row("flushdb", -1, flag::WRITE, Keys::None, Run::EveryShard(flushdb, Join::AllOk)),
    row("keys", 2, flag::READONLY, Keys::None, Run::EveryShard(keys, Join::Concat)),
    row("randomkey", 1, flag::READONLY, Keys::None, Run::Walk(randomkey)),
    row("scan", -2, flag::READONLY, Keys::None, Run::Walk(scan)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command::ShardHandler;
    use crate::command::testing::TestShard;
    use crate::ids::{Batch, ShardId};
    use std::collections::BTreeSet;

    fn filled(keys: std::ops::Range<usize>) -> TestShard {
        let mut shard = TestShard::new();
        for number in keys {
            shard.put(&format!("key:{number}"), "v", 0);
        }
        shard
    }

    /// The page of a SCAN with these arguments, separated by spaces: the cursor and the keys.
    fn page(shard: &mut TestShard, arguments: &str) -> (String, Vec<String>) {
        page_by(scan, shard, arguments)
    }

    fn page_by(handler: ShardHandler, shard: &mut TestShard, arguments: &str) -> (String, Vec<String>) {
        let words: Vec<&str> = std::iter::once("SCAN").chain(arguments.split(' ')).collect();
        let reply = shard.run_handler(handler, &words);
        let (cursor, keys) = reply.strip_prefix("[\"").unwrap().split_once("\", [").unwrap();
        let keys = keys.strip_suffix("]]").unwrap().split(", ").filter(|key| !key.is_empty());
        (cursor.to_owned(), keys.map(|key| key.trim_matches('"').to_owned()).collect())
    }

    #[test]
    fn a_scan_meets_every_key_once_while_nothing_changes() {
        let mut shard = filled(0..5000);
        shard.take_effects();
        let mut seen = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys) = page(&mut shard, &cursor);
            assert!(keys.len() <= 12, "COUNT is 10 by default: {}", keys.len());
            seen.extend(keys);
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        assert!(shard.take_effects().is_empty());
        assert_eq!(seen.len(), 5000);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 5000);
    }

    #[test]
    fn what_is_there_throughout_is_met_while_the_table_grows_and_shrinks() {
        let mut shard = filled(0..2000);
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        let mut turn = 0;
        loop {
            let (next, keys) = page(&mut shard, &format!("{cursor} COUNT 20"));
            seen.extend(keys);
            for number in 0..40 {
                shard.put(&format!("new:{turn}:{number}"), "v", 0);
            }
            if turn > 0 {
                for number in 0..20 {
                    shard.keyspace.remove(0, format!("new:{}:{number}", turn - 1).as_bytes());
                }
            }
            // Some of the old keys go on the way; those that stay are owed.
            shard.keyspace.remove(0, format!("key:{}", turn * 2 + 1).as_bytes());
            turn += 1;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        assert!(turn > 100);
        for number in (0..2000).step_by(2) {
            assert!(seen.contains(&format!("key:{number}")), "key:{number} was there throughout");
        }
    }

    #[test]
    fn a_scan_goes_through_all_shards_and_none_on_one_shards_port() {
        let mut shards: Vec<TestShard> = (0..3).map(|shard| filled(shard * 1000..shard * 1000 + 700)).collect();
        for (number, shard) in shards.iter_mut().enumerate() {
            shard.shard = ShardId(number as u16);
            shard.shards = 3;
        }
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let shard = Cursor::decode(cursor.as_bytes()).unwrap().shard;
            let (next, keys) = page(&mut shards[usize::from(shard.0)], &format!("{cursor} COUNT 50"));
            for key in keys {
                assert!(seen.insert(key));
            }
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 2100);
        // A cursor that leads out of a shard ends there if it is brought back.
        assert_eq!(page(&mut shards[1], "2"), ("0".to_owned(), Vec::new()));
        // The last cursor of shard 1 ends the walk on its own port.
        let shard = &mut shards[1];
        let mut cursor = "0".to_owned();
        let mut seen = 0;
        loop {
            let handler: ShardHandler = |call, arguments, reply| scan_within(call, arguments, reply, true);
            let (next, keys) = page_by(handler, shard, &format!("{cursor} COUNT 50"));
            seen += keys.len();
            cursor = next;
            if cursor == "0" {
                break;
            }
            assert_eq!(Cursor::decode(cursor.as_bytes()).unwrap().shard, ShardId(1));
        }
        assert_eq!(seen, 700);
    }

    #[test]
    fn count_bounds_the_work_whatever_matches() {
        let mut shard = filled(0..3000);
        let mut pages = 0;
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys) = page(&mut shard, &format!("{cursor} MATCH nothing* COUNT 100"));
            assert!(keys.is_empty());
            pages += 1;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        assert!(pages >= 25, "{pages} pages of about 100 looked at");
    }

    #[test]
    fn options_filter() {
        let mut shard = filled(0..20);
        shard.put("gone", "v", shard.now_ms() + 1);
        shard.advance_ms(1);
        let all = |shard: &mut TestShard, options: &str| page(shard, &format!("0 {options}")).1.len();
        assert_eq!(all(&mut shard, "COUNT 100"), 20);
        assert_eq!(all(&mut shard, "COUNT 100 MATCH key:1*"), 11);
        assert_eq!(all(&mut shard, "count 100 match KEY:1*"), 0);
        assert_eq!(all(&mut shard, "COUNT 100 TYPE String"), 20);
        assert_eq!(all(&mut shard, "COUNT 100 TYPE hash"), 0);
        assert_eq!(all(&mut shard, "COUNT 100 TYPE nonsense"), 0);
        assert_eq!(all(&mut shard, "COUNT 1 COUNT 100 TYPE string MATCH key:?"), 10);
        shard.db = 1;
        assert_eq!(all(&mut shard, "COUNT 100"), 0);
    }

    #[test]
    fn refusals() {
        let mut shard = filled(0..3);
        for (command, answer) in [
            ("SCAN", "-ERR wrong number of arguments for 'scan' command"),
            ("SCAN x", "-ERR invalid cursor"),
            ("SCAN x COUNT 0", "-ERR invalid cursor"),
            ("SCAN 0 COUNT", "-ERR syntax error"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"),
            ("SCAN 0 COUNT -1", "-ERR syntax error"),
            ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("SCAN 0 FOO 1", "-ERR syntax error"),
            ("SCAN 7", "[\"0\", []]"),
            ("SCAN 18446744073709551615", "[\"0\", []]"),
            ("SCAN 7 COUNT 0", "-ERR syntax error"),
        ] {
            assert_eq!(shard.run(command), answer, "{command}");
        }
    }

    #[test]
    fn keys_and_dbsize_see_one_database() {
        let mut shard = filled(0..12);
        shard.put("gone", "v", shard.now_ms() + 1);
        shard.advance_ms(1);
        assert_eq!(shard.run("DBSIZE"), ":13", "as in Redis, until someone meets the expired key");
        assert_eq!(shard.run("KEYS gone"), "[]");
        assert!(["[\"key:10\", \"key:11\"]", "[\"key:11\", \"key:10\"]"].contains(&shard.run("KEYS key:1?").as_str()));
        assert_eq!(shard.run("KEYS *").split(", ").count(), 12);
        shard.run("EXISTS gone");
        assert_eq!(shard.run("DBSIZE"), ":12");
        shard.db = 1;
        assert_eq!(shard.run("KEYS *"), "[]");
        assert_eq!(shard.run("DBSIZE"), ":0");
    }

    #[test]
    fn randomkey_meets_every_key_and_no_expired_one() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("RANDOMKEY"), "nil");
        shard.put("gone", "v", shard.now_ms() + 1);
        shard.advance_ms(1);
        assert_eq!(shard.run("RANDOMKEY"), "nil");
        for key in ["a", "b", "c"] {
            shard.put(key, "v", 0);
        }
        let met: BTreeSet<String> = (0..200).map(|_| shard.run("RANDOMKEY")).collect();
        assert_eq!(met, ["\"a\"", "\"b\"", "\"c\""].map(str::to_owned).into());
    }

    #[test]
    fn flushes_empty_one_database_or_all() {
        let mut shard = filled(0..10);
        shard.db = 5;
        shard.put("a", "1", 0);
        assert_eq!(shard.run("FLUSHDB FOO"), "-ERR syntax error");
        assert_eq!(shard.run("FLUSHALL SYNC ASYNC"), "-ERR syntax error");
        assert_eq!(shard.run("FLUSHDB ASYNC"), "OK");
        assert_eq!(shard.run("DBSIZE"), ":0");
        shard.take_effects();
        assert_eq!(shard.run("FLUSHDB"), "OK");
        assert!(shard.take_effects().is_empty(), "an empty database is flushed already");
        shard.db = 0;
        assert_eq!(shard.run("DBSIZE"), ":10");
        shard.db = 5;
        assert_eq!(shard.run("flushall sync"), "OK");
        assert!(shard.keyspace.is_empty());
    }

    #[test]
    fn a_whole_keyspace_read_waits_for_what_is_not_committed() {
        let mut shard = filled(0..1);
        let handlers: [(ShardHandler, &[&str]); 4] =
            [(dbsize, &["DBSIZE"]), (keys, &["KEYS", "*"]), (scan, &["SCAN", "0"]), (randomkey, &["RANDOMKEY"])];
        let mut gate = |handler, words| {
            shard.keyspace.take_gate();
            shard.run_handler(handler, words);
            shard.keyspace.take_gate()
        };
        for (handler, words) in handlers {
            assert_eq!(gate(handler, words), Batch(1), "{words:?}");
        }
        assert_eq!(gate(flushdb, &["FLUSHDB"]), Batch(2), "the flush is of the next batch");
        assert_eq!(gate(flushall, &["FLUSHALL"]), Batch(2), "that all is empty is not committed yet");
    }
}
