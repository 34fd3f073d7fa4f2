//! Keys, whatever they hold.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Join, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::row;
use crate::keyspace::{DatabaseIndex, canonical_integer};
use crate::reply::ReplySink;

const SAME_OBJECT: Failure = Failure::text("ERR source and destination objects are the same");

/// `DEL key [key ...]` and `UNLINK`: values are freed outside of the command in both.
fn del(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let removed = arguments[1..].iter().filter(|key| call.remove(key)).count();
    reply.integer(removed as i64);
    Ok(())
}

/// `EXISTS key [key ...]`: a key counts as often as it is named.
fn exists(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let present = arguments[1..].iter().filter(|key| call.keyspace.look(call.db, key).is_some()).count();
    reply.integer(present as i64);
    Ok(())
}

/// `TOUCH key [key ...]`: EXISTS that counts as an access.
fn touch(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let present = arguments[1..].iter().filter(|key| call.read(key).is_some()).count();
    reply.integer(present as i64);
    Ok(())
}

/// `TYPE key`.
fn type_of(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    reply.simple(call.keyspace.look(call.db, arguments[1]).map_or("none", |entry| entry.value().type_name()));
    Ok(())
}

/// `RENAME key newkey`.
fn rename(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (from, to) = (arguments[1], arguments[2]);
    call.read(from).ok_or(Failure::NoSuchKey)?;
    if from != to {
        call.keyspace.rename(call.db, from, call.db, to);
    }
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`.
fn renamenx(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (from, to) = (arguments[1], arguments[2]);
    call.read(from).ok_or(Failure::NoSuchKey)?;
    let free = call.read(to).is_none();
    if free {
        call.keyspace.rename(call.db, from, call.db, to);
    }
    reply.integer(i64::from(free));
    Ok(())
}

/// `COPY source destination [DB destination-db] [REPLACE]`.
pub(super) fn copy(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (from, to) = (arguments[1], arguments[2]);
    let (to_db, replace) = copy_options(call, arguments)?;
    if to_db == call.db && from == to {
        return Err(SAME_OBJECT);
    }
    let copied = call.read(from).is_some() && (call.keyspace.peek(to_db, to).is_none() || replace);
    if copied {
        call.keyspace.copy(call.db, from, to_db, to);
    }
    reply.integer(i64::from(copied));
    Ok(())
}

/// COPY's database, and whether it replaces what is there.
pub(super) fn copy_options(call: &Call<'_>, arguments: Arguments<'_>) -> Result<(DatabaseIndex, bool), Failure> {
    let mut to_db = call.db;
    let mut replace = false;
    let mut options = arguments[3..].iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"db") {
            to_db = database(options.next().ok_or(Failure::Syntax)?, call.databases)?;
        } else {
            return Err(Failure::Syntax);
        }
    }
    Ok((to_db, replace))
}

/// `MOVE key db`.
fn move_key(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    let to_db = database(arguments[2], call.databases)?;
    if to_db == call.db {
        return Err(SAME_OBJECT);
    }
    let moved = call.read(key).is_some() && call.keyspace.peek(to_db, key).is_none();
    if moved {
        call.keyspace.rename(call.db, key, to_db, key);
    }
    reply.integer(i64::from(moved));
    Ok(())
}

/// The database that an argument names. Redis tells numbers that no `int` holds from numbers that no database has.
fn database(argument: &[u8], databases: u8) -> Result<DatabaseIndex, Failure> {
    let number = canonical_integer(argument).ok_or(Failure::NotInteger)?;
    if i32::try_from(number).is_err() {
        return Err(Failure::text("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    match DatabaseIndex::try_from(number) {
        Ok(db) if db < databases => Ok(db),
        _ => Err(Failure::text("ERR DB index is out of range")),
    }
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("copy", -3, flag::WRITE | flag::DENYOOM, Keys::FIRST_TWO, Run::Shard(copy)),
    row("del", -2, flag::WRITE, Keys::ALL, Run::PerKey(del, Join::Sum)),
    row("exists", -2, flag::READONLY | flag::FAST, Keys::ALL, Run::PerKey(exists, Join::Sum)),
    row("move", 3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(move_key)),
    row("rename", 3, flag::WRITE, Keys::FIRST_TWO, Run::Shard(rename)),
    row("renamenx", 3, flag::WRITE | flag::FAST, Keys::FIRST_TWO, Run::Shard(renamenx)),
    row("touch", -2, flag::READONLY | flag::FAST, Keys::ALL, Run::PerKey(touch, Join::Sum)),
    row("type", 2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(type_of)),
    row("unlink", -2, flag::WRITE | flag::FAST, Keys::ALL, Run::PerKey(del, Join::Sum)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::TestShard;

    #[test]
    fn del_and_unlink_count_what_they_removed() {
        let mut shard = TestShard::new();
        shard.run("SET a 1");
        shard.run("SET b 1 PX 5");
        assert_eq!(shard.run("DEL a a nothing"), ":1");
        assert!(!shard.take_effects().is_empty());
        assert_eq!(shard.run("UNLINK a nothing"), ":0");
        assert!(shard.take_effects().is_empty(), "a removal of nothing is a read");
        shard.put("b", "1", shard.now_ms() + 5);
        shard.advance_ms(5);
        assert_eq!(shard.run("UNLINK b"), ":0");
        assert!(!shard.take_effects().is_empty(), "the expired key goes");
    }

    #[test]
    fn exists_counts_repetitions_and_only_touch_is_an_access() {
        let mut shard = TestShard::new();
        shard.run("SET a 1");
        shard.advance_ms(10_000);
        assert_eq!(shard.run("EXISTS a a nothing"), ":2");
        assert_eq!(shard.run("TYPE a"), "string");
        assert_eq!(shard.run("OBJECT IDLETIME a"), ":10");
        assert_eq!(shard.run("TOUCH a a nothing"), ":2");
        assert_eq!(shard.run("OBJECT IDLETIME a"), ":0");
        assert_eq!(shard.run("TYPE nothing"), "none");
    }

    #[test]
    fn rename_moves_value_and_expiry() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("RENAME a b"), "-ERR no such key");
        assert_eq!(shard.run("RENAME a a"), "-ERR no such key");
        shard.put("a", "1", shard.now_ms() + 500);
        shard.put("b", "2", 0);
        assert_eq!(shard.run("RENAME a b"), "OK");
        assert_eq!(shard.run("PTTL b"), ":500");
        assert_eq!(shard.run("GET b"), "\"1\"");
        assert_eq!(shard.run("EXISTS a"), ":0");
        shard.take_effects();
        assert_eq!(shard.run("RENAME b b"), "OK");
        assert!(shard.take_effects().is_empty());
        shard.advance_ms(500);
        assert_eq!(shard.run("RENAME b c"), "-ERR no such key");
    }

    #[test]
    fn renamenx_spares_what_is_there_unless_it_expired() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("RENAMENX a b"), "-ERR no such key");
        shard.put("a", "1", 0);
        shard.put("b", "2", shard.now_ms() + 5);
        shard.take_effects();
        assert_eq!(shard.run("RENAMENX a b"), ":0");
        assert_eq!(shard.run("RENAMENX a a"), ":0");
        assert!(shard.take_effects().is_empty());
        shard.advance_ms(5);
        assert_eq!(shard.run("RENAMENX a b"), ":1");
        assert_eq!(shard.run("GET b"), "\"1\"");
        assert_eq!(shard.run("TTL b"), ":-1");
    }

    #[test]
    fn copy_to_names_and_databases() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("COPY a b"), ":0");
        shard.put("a", "1", shard.now_ms() + 500);
        assert_eq!(shard.run("COPY a b"), ":1");
        assert_eq!(shard.run("PTTL b"), ":500");
        shard.take_effects();
        assert_eq!(shard.run("COPY a b"), ":0");
        assert!(shard.take_effects().is_empty());
        shard.put("a", "2", 0);
        assert_eq!(shard.run("copy a b replace"), ":1");
        assert_eq!(shard.run("GET b"), "\"2\"");
        assert_eq!(shard.run("TTL b"), ":-1");
        assert_eq!(shard.run("COPY a a DB 3"), ":1");
        assert_eq!(shard.run("COPY a a DB 3"), ":0");
        assert_eq!(shard.run("COPY a a REPLACE db 3"), ":1");
        shard.db = 3;
        assert_eq!(shard.run("GET a"), "\"2\"");
        assert_eq!(shard.run("COPY a b DB 3"), ":1");
    }

    #[test]
    fn copy_refuses_in_the_order_of_redis() {
        let mut shard = TestShard::new();
        for (command, error) in [
            ("COPY a a", "-ERR source and destination objects are the same"),
            ("COPY a a DB 0 REPLACE", "-ERR source and destination objects are the same"),
            ("COPY a b DB", "-ERR syntax error"),
            ("COPY a b NX", "-ERR syntax error"),
            ("COPY a a NX", "-ERR syntax error"),
            ("COPY a b DB x", "-ERR value is not an integer or out of range"),
            ("COPY a b DB 16", "-ERR DB index is out of range"),
            ("COPY a b DB -1", "-ERR DB index is out of range"),
            ("COPY a b DB 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
            ("COPY a", "-ERR wrong number of arguments for 'copy' command"),
        ] {
            assert_eq!(shard.run(command), error, "{command}");
        }
    }

    #[test]
    fn move_takes_the_key_along_if_its_name_is_free() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("MOVE a 1"), ":0");
        shard.put("a", "1", shard.now_ms() + 500);
        assert_eq!(shard.run("MOVE a 0"), "-ERR source and destination objects are the same");
        assert_eq!(shard.run("MOVE a 16"), "-ERR DB index is out of range");
        assert_eq!(shard.run("MOVE a x"), "-ERR value is not an integer or out of range");
        assert_eq!(shard.run("MOVE a 1"), ":1");
        assert_eq!(shard.run("EXISTS a"), ":0");
        shard.put("a", "2", 0);
        shard.take_effects();
        assert_eq!(shard.run("MOVE a 1"), ":0");
        assert!(shard.take_effects().is_empty());
        shard.db = 1;
        assert_eq!(shard.run("GET a"), "\"1\"");
        assert_eq!(shard.run("PTTL a"), ":500");
    }
}
