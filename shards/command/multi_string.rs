//! Several strings at once.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Join, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::reply::ReplySink;

/// `MGET key [key ...]`.
pub fn mget(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let keys = &arguments[1..];
    reply.array(keys.len());
    for key in keys {
        match call.string(key)? {
            Some(bytes) => reply.bulk(&bytes),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `MSET key value [key value ...]`.
pub fn mset(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    put_pairs(call, arguments, "mset", |_, _| true)?;
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: all of them, or none if one is there.
pub fn msetnx(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let written = put_pairs(call, arguments, "msetnx", |call, key| call.read(key).is_none())?;
    reply.integer(i64::from(written));
    Ok(())
}

fn put_pairs(
    call: &mut Call<'_>,
    arguments: Arguments<'_>,
    command: &'static str,
    may_write: fn(&Call<'_>, &[u8]) -> bool,
) -> Result<bool, Failure> {
    if arguments.len().is_multiple_of(2) {
        return Err(Failure::WrongArity(command));
    }
    let keys = || (1..arguments.len()).step_by(2);
    if !keys().all(|position| may_write(call, arguments[position])) {
        return Ok(false);
    }
    for position in keys() {
        call.put(arguments[position], arguments.value(position + 1), 0);
    }
    Ok(true)
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("mget", -2, flag::READONLY | flag::FAST, Keys::ALL, Run::PerKey(mget, Join::Interleave)),
    Command::row("mset", -3, flag::WRITE | flag::DENYOOM, Keys::PAIRS, Run::PerKey(mset, Join::AllOk)),
    Command::row("msetnx", -3, flag::WRITE | flag::DENYOOM, Keys::PAIRS, Run::Shard(msetnx)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    #[test]
    fn several_strings_at_once() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("MSET a 1 b x a 2"), "OK");
        assert_eq!(shard.run("MGET a c b a"), "[\"2\", nil, \"x\", \"2\"]");
        assert_eq!(shard.run("MSETNX c 1 a 3"), ":0");
        assert_eq!(shard.run("MSETNX c 1 d 3 c 2"), ":1");
        assert_eq!(shard.take_effects(), ["put a 1", "put b x", "put a 2", "put c 1", "put d 3", "put c 2"]);
    }

    #[test]
    fn pairs_must_be_whole() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command");
        assert_eq!(shard.run("MSETNX a 1 b"), "-ERR wrong number of arguments for 'msetnx' command");
        assert_eq!(shard.run("MGET"), "-ERR wrong number of arguments for 'mget' command");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn cold_values_among_warm_ones() {
        let mut shard = TestShard::new();
        let (first, second) = (vec![b'1'; LARGE_BYTES_MIN], vec![b'2'; LARGE_BYTES_MIN + 1]);
        shard.run_words(&[b"MSET", b"a", &first, b"b", b"warm", b"c", &second]);
        shard.cool();
        assert_eq!(shard.run("MGET a b c").len(), 2 * LARGE_BYTES_MIN + 1 + 4 + 12);
        assert_eq!(shard.cold_runs, 2);
    }
}
