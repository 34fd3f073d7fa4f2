//! Strings as whole values: read, written, read and written at once.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::string_options::{Deadline, GetOptions, Present, SetOptions, TimeUnit};
use crate::reply::ReplySink;

/// `GET key`.
pub fn get(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    write_string(call, arguments[1], reply)
}

/// `SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL]`.
pub fn set(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    if arguments.len() == 3 {
        call.put(key, arguments.value(2), 0);
        reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(&arguments[3..])?;
    let expires_ms = match options.deadline {
        Some(deadline) => deadline.expires_ms("set", call.now_ms())?,
        None => 0,
    };
    let writes = match options.present {
        None => true,
        Some(present) => (present == Present::Must) == call.read(key).is_some(),
    };
    if options.get {
        write_string(call, key, reply)?;
    } else if writes {
        reply.ok();
    } else {
        reply.null();
    }
    if writes && options.keep_expiry {
        call.put_keeping_expiry(key, arguments.value(2));
    } else if writes {
        call.put(key, arguments.value(2), expires_ms);
    }
    Ok(())
}

/// `SETNX key value`.
pub fn setnx(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let absent = call.read(arguments[1]).is_none();
    if absent {
        call.put(arguments[1], arguments.value(2), 0);
    }
    reply.integer(i64::from(absent));
    Ok(())
}

/// `SETEX key seconds value`.
pub fn setex(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    set_for(call, arguments, TimeUnit::Seconds, "setex", reply)
}

/// `PSETEX key milliseconds value`.
pub fn psetex(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    set_for(call, arguments, TimeUnit::Milliseconds, "psetex", reply)
}

fn set_for(
    call: &mut Call<'_>,
    arguments: Arguments<'_>,
    unit: TimeUnit,
    command: &str,
    reply: &mut dyn ReplySink,
) -> Result<(), Failure> {
    let deadline = Deadline { amount: arguments[2], unit, absolute: false };
    let expires_ms = deadline.expires_ms(command, call.now_ms())?;
    call.put(arguments[1], arguments.value(3), expires_ms);
    reply.ok();
    Ok(())
}

/// `GETSET key value`.
pub fn getset(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    write_string(call, arguments[1], reply)?;
    call.put(arguments[1], arguments.value(2), 0);
    Ok(())
}

/// `GETDEL key`.
pub fn getdel(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    write_string(call, arguments[1], reply)?;
    call.remove(arguments[1]);
    Ok(())
}

/// `GETEX key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST]`.
pub fn getex(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    let options = GetOptions::parse(&arguments[2..])?;
    let Some(entry) = call.read(key) else {
        reply.null();
        return Ok(());
    };
    let old_ms = entry.expires_ms();
    let new_ms = match options.deadline {
        Some(deadline) => deadline.expires_ms("getex", call.now_ms())?,
        None if options.persist => 0,
        None => old_ms,
    };
    write_string(call, key, reply)?;
    if new_ms != 0 && new_ms <= call.now_ms() {
        call.remove(key);
    } else if options.deadline.is_some() || new_ms != old_ms {
        // Like EXPIRE, also to the time that is there already: who watches the key is told in either case.
        call.keyspace.set_expiry(call.db, key, new_ms);
    }
    Ok(())
}

/// `STRLEN key`.
pub fn strlen(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let len = call.read(arguments[1]).map_or(0, |entry| entry.value().len());
    reply.integer(len as i64);
    Ok(())
}

#[inline]
fn write_string(call: &Call<'_>, key: &[u8], reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match call.string(key)? {
        Some(bytes) => reply.bulk(&bytes),
        None => reply.null(),
    }
    Ok(())
}

const READ: u32 = flag::READONLY | flag::FAST;
const WRITE: u32 = flag::WRITE | flag::DENYOOM;
const WRITE_FAST: u32 = WRITE | flag::FAST;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("get", 2, READ, Keys::FIRST, Run::Shard(get)),
    Command::row("getdel", 2, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(getdel)),
    Command::row("getex", -2, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(getex)),
    Command::row("getset", 3, WRITE_FAST, Keys::FIRST, Run::Shard(getset)),
    Command::row("psetex", 4, WRITE, Keys::FIRST, Run::Shard(psetex)),
    Command::row("set", -3, WRITE, Keys::FIRST, Run::Shard(set)),
    Command::row("setex", 4, WRITE, Keys::FIRST, Run::Shard(setex)),
    Command::row("setnx", 3, WRITE_FAST, Keys::FIRST, Run::Shard(setnx)),
    Command::row("strlen", 2, READ, Keys::FIRST, Run::Shard(strlen)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    const SYNTAX: &str = "-ERR syntax error";
    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn set_and_get() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("GET k"), "nil");
        assert_eq!(shard.run("SET k v"), "OK");
        assert_eq!(shard.run("get k"), "\"v\"");
        assert_eq!(shard.run("SET k"), "-ERR wrong number of arguments for 'set' command");
        assert_eq!(shard.take_effects(), ["put k v"]);
    }

    #[test]
    fn set_only_if_present_or_absent() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("SET k v XX"), "nil");
        assert_eq!(shard.run("SET k v NX"), "OK");
        assert_eq!(shard.run("SET k w nx"), "nil");
        assert_eq!(shard.run("SET k x xx"), "OK");
        assert_eq!(shard.run("SET k y NX GET"), "\"x\"");
        assert_eq!(shard.run("SET k z XX GET"), "\"x\"");
        assert_eq!(shard.run("SET l z XX GET"), "nil");
        assert_eq!(shard.run("SET l z NX GET"), "nil");
        assert_eq!(shard.take_effects(), ["put k v", "put k x", "put k z", "put l z"]);
    }

    #[test]
    fn set_with_an_expiry() {
        let mut shard = TestShard::new();
        let now = shard.now_ms();
        for (line, at) in [
            ("SET k v EX 10".to_owned(), now + 10_000),
            ("SET k v px 10".to_owned(), now + 10),
            ("SET k v EX 1 EX 2".to_owned(), now + 2_000),
            (format!("SET k v EXAT {}", now / 1000 + 5), now + 5_000),
            (format!("SET k v PXAT {}", now + 5), now + 5),
        ] {
            assert_eq!(shard.run(&line), "OK", "{line}");
            assert_eq!(shard.take_effects(), [format!("put k v until {at}")]);
        }
        assert_eq!(shard.run("SET k w KEEPTTL"), "OK");
        assert_eq!(shard.take_effects(), [format!("put k w until {}", now + 5)]);
        shard.advance_ms(5);
        assert_eq!(shard.run("GET k"), "nil");
        assert_eq!(shard.take_effects(), ["remove k"]);
        assert_eq!(shard.run("SET k v PXAT 1"), "OK");
        assert_eq!(shard.run("GET k"), "nil");
        assert_eq!(shard.run("SET k v KEEPTTL"), "OK");
        assert_eq!(shard.take_effects(), ["put k v until 1", "remove k", "put k v"]);
    }

    #[test]
    fn set_refuses_what_redis_refuses() {
        let mut shard = TestShard::new();
        for options in [
            "NX XX",
            "XX NX",
            "EX",
            "EX 1 PX 1",
            "EX 1 EXAT 1",
            "PXAT 1 PX 1",
            "KEEPTTL EX 1",
            "EX 1 KEEPTTL",
            "PERSIST",
            "FOO",
            "1",
        ] {
            assert_eq!(shard.run(&format!("SET k v {options}")), SYNTAX, "{options}");
        }
        for amount in ["x", "1.5", "9223372036854775808", "\" 1\"", "\"\""] {
            assert_eq!(shard.run(&format!("SET k v EX {amount}")), NOT_INTEGER);
        }
        for options in
            ["EX 0", "PX -1", "EXAT 0", "EX 9223372036854775807", "PX 9223372036854775807", "EX 9223372036854775"]
        {
            assert_eq!(
                shard.run(&format!("SET k v {options}")),
                "-ERR invalid expire time in 'set' command",
                "{options}"
            );
        }
        assert_eq!(shard.run("SETEX k 0 v"), "-ERR invalid expire time in 'setex' command");
        assert_eq!(shard.run("PSETEX k -5 v"), "-ERR invalid expire time in 'psetex' command");
        assert_eq!(shard.run("SETEX k v v"), NOT_INTEGER);
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn setnx_setex_getset_getdel_strlen() {
        let mut shard = TestShard::new();
        let now = shard.now_ms();
        assert_eq!(shard.run("SETNX k 12345"), ":1");
        assert_eq!(shard.run("SETNX k w"), ":0");
        assert_eq!(shard.run("STRLEN k"), ":5");
        assert_eq!(shard.run("STRLEN l"), ":0");
        assert_eq!(shard.run("SETEX k 3 v"), "OK");
        assert_eq!(shard.run("PSETEX k 3 v"), "OK");
        assert_eq!(shard.run("GETSET k w"), "\"v\"");
        assert_eq!(shard.run("GETSET l w"), "nil");
        assert_eq!(shard.run("GETDEL k"), "\"w\"");
        assert_eq!(shard.run("GETDEL k"), "nil");
        let until = |ms| format!("put k v until {}", now + ms);
        assert_eq!(
            shard.take_effects(),
            ["put k 12345".to_owned(), until(3000), until(3), "put k w".into(), "put l w".into(), "remove k".into()]
        );
    }

    #[test]
    fn getex_changes_the_expiry_alone() {
        let mut shard = TestShard::new();
        let now = shard.now_ms();
        assert_eq!(shard.run("GETEX k EX 0"), "nil");
        assert_eq!(shard.run("GETEX k EX"), SYNTAX);
        shard.run("SET k v");
        shard.take_effects();
        assert_eq!(shard.run("GETEX k"), "\"v\"");
        assert_eq!(shard.run("GETEX k PERSIST"), "\"v\"");
        assert!(shard.take_effects().is_empty());
        assert_eq!(shard.run("GETEX k EX 7"), "\"v\"");
        assert_eq!(shard.run("GETEX k PX 7"), "\"v\"");
        assert_eq!(shard.run("GETEX k PERSIST"), "\"v\"");
        assert_eq!(shard.run(&format!("GETEX k PXAT {}", now + 9)), "\"v\"");
        assert_eq!(shard.run(&format!("GETEX k PXAT {}", now + 9)), "\"v\"");
        assert_eq!(shard.run("GETEX k EXAT 1"), "\"v\"");
        let expire = |ms| format!("expire k at {ms}");
        assert_eq!(
            shard.take_effects(),
            [expire(now + 7000), expire(now + 7), expire(0), expire(now + 9), expire(now + 9), "remove k".into()]
        );
        shard.run("SET k v");
        for options in ["KEEPTTL", "PERSIST EX 1", "EX 1 PERSIST", "EX 1 PX 1", "GET", "NX"] {
            assert_eq!(shard.run(&format!("GETEX k {options}")), SYNTAX, "{options}");
        }
        assert_eq!(shard.run("GETEX k EX 0"), "-ERR invalid expire time in 'getex' command");
        assert_eq!(shard.run("GETEX k EX x"), NOT_INTEGER);
    }

    #[test]
    fn cold_strings_are_read_by_a_second_run_and_their_length_by_the_first() {
        let mut shard = TestShard::new();
        let value = vec![b'v'; LARGE_BYTES_MIN];
        shard.run_words(&[b"SET", b"k", &value]);
        shard.cool();
        assert_eq!(shard.run("STRLEN k"), ":1024");
        assert_eq!(shard.run("SET k v NX"), "nil");
        assert_eq!(shard.cold_runs, 0);
        assert_eq!(shard.run("SET k w GET").len(), LARGE_BYTES_MIN + 2);
        assert_eq!(shard.cold_runs, 1);
        assert_eq!(shard.run("GET k"), "\"w\"");
    }
}
