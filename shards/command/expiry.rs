//! When keys expire.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::row;
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;

/// What a time in an argument or a reply counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// What a time in an argument counts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Now,
    Epoch,
}

/// When the new expiry is given to the key.
#[derive(Default)]
struct Conditions {
    /// If the key has none.
    nx: bool,
    /// If the key has one.
    xx: bool,
    /// If it is later than the key's; none counts as never.
    gt: bool,
    /// If it is earlier than the key's; none counts as never.
    lt: bool,
}

impl Conditions {
    fn parse(options: &[&[u8]]) -> Result<Self, Failure> {
        let mut conditions = Conditions::default();
        for option in options {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" => conditions.nx = true,
                b"xx" => conditions.xx = true,
                b"gt" => conditions.gt = true,
                b"lt" => conditions.lt = true,
                _ => return Err(Failure::quoting("ERR Unsupported option ", option, "")),
            }
        }
        if conditions.nx && (conditions.xx || conditions.gt || conditions.lt) {
            return Err(Failure::text("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.gt && conditions.lt {
            return Err(Failure::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether a key that expires at `current_ms` (0: never) gets `new_ms`, which may lie before the epoch.
    fn allow(&self, current_ms: u64, new_ms: i64) -> bool {
        let expires = current_ms != 0;
        // An expiry was an i64 when it was given.
        let current = i64::try_from(current_ms).unwrap_or(i64::MAX);
        !(self.nx && expires
            || self.xx && !expires
            || self.gt && (!expires || new_ms <= current)
            || self.lt && expires && new_ms >= current)
    }
}

/// The four ways to give a key an expiry: `key time [NX | XX | GT | LT]`.
fn give(
    call: &mut Call<'_>,
    arguments: Arguments<'_>,
    reply: &mut dyn ReplySink,
    (name, unit, since): (&str, Unit, Since),
) -> Result<(), Failure> {
    let conditions = Conditions::parse(&arguments[3..])?;
    let given = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let now_ms = call.now_ms();
    let base_ms = if since == Since::Now { now_ms as i64 } else { 0 };
    let scale = if unit == Unit::Seconds { 1000 } else { 1 };
    // A time far in the past is one that has passed; only a sum or product beyond 64 bits is refused.
    let expires_ms = given
        .checked_mul(scale)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or_else(|| Failure::said(format!("ERR invalid expire time in '{name}' command")))?;
    let key = arguments[1];
    let allowed = call.read(key).is_some_and(|entry| conditions.allow(entry.expires_ms(), expires_ms));
    if allowed {
        match u64::try_from(expires_ms) {
            Ok(expires_ms) if expires_ms > now_ms => call.keyspace.set_expiry(call.db, key, expires_ms),
            _ => {
                call.remove(key);
            }
        }
    }
    reply.integer(i64::from(allowed));
    Ok(())
}

fn expire(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    give(call, arguments, reply, ("expire", Unit::Seconds, Since::Now))
}

fn pexpire(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    give(call, arguments, reply, ("pexpire", Unit::Milliseconds, Since::Now))
}

fn expireat(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    give(call, arguments, reply, ("expireat", Unit::Seconds, Since::Epoch))
}

fn pexpireat(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    give(call, arguments, reply, ("pexpireat", Unit::Milliseconds, Since::Epoch))
}

/// The four ways to ask for a key's expiry. -2: no such key, -1: it does not expire.
fn ask(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink, unit: Unit, since: Since) {
    let answer = match call.keyspace.look(call.db, arguments[1]).map(|entry| entry.expires_ms()) {
        None => -2,
        Some(0) => -1,
        Some(expires_ms) => {
            let ms = if since == Since::Now { expires_ms - call.now_ms() } else { expires_ms };
            // Seconds are rounded half up.
            (if unit == Unit::Seconds { ms.saturating_add(500) / 1000 } else { ms }) as i64
        }
    };
    reply.integer(answer);
}

fn ttl(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    ask(call, arguments, reply, Unit::Seconds, Since::Now);
    Ok(())
}

fn pttl(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    ask(call, arguments, reply, Unit::Milliseconds, Since::Now);
    Ok(())
}

fn expiretime(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    ask(call, arguments, reply, Unit::Seconds, Since::Epoch);
    Ok(())
}

fn pexpiretime(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    ask(call, arguments, reply, Unit::Milliseconds, Since::Epoch);
    Ok(())
}

/// `PERSIST key`.
fn persist(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    let expires = call.read(key).is_some_and(|entry| entry.expires_ms() != 0);
    if expires {
        call.keyspace.set_expiry(call.db, key, 0);
    }
    reply.integer(i64::from(expires));
    Ok(())
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("expire", -3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(expire)),
    row("expireat", -3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(expireat)),
    row("expiretime", 2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(expiretime)),
    row("persist", 2, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(persist)),
    row("pexpire", -3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(pexpire)),
    row("pexpireat", -3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(pexpireat)),
    row("pexpiretime", 2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(pexpiretime)),
    row("pttl", 2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(pttl)),
    row("ttl", 2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(ttl)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::TestShard;

    #[test]
    fn the_four_ways_to_give_and_to_ask() {
        let mut shard = TestShard::new();
        let now_ms = shard.now_ms();
        shard.put("a", "1", 0);
        assert_eq!(shard.run("TTL a"), ":-1");
        assert_eq!(shard.run("EXPIRETIME a"), ":-1");
        for ask in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
            assert_eq!(shard.run(&format!("{ask} nothing")), ":-2");
        }
        for give in [
            "EXPIRE a 20".to_owned(),
            "PEXPIRE a 20000".to_owned(),
            format!("EXPIREAT a {}", now_ms / 1000 + 20),
            format!("PEXPIREAT a {}", now_ms + 20_000),
        ] {
            assert_eq!(shard.run("PERSIST a"), if give.starts_with("EXPIRE a") { ":0" } else { ":1" });
            assert_eq!(shard.run(&give), ":1");
            assert!(!shard.take_effects().is_empty());
            assert_eq!(shard.run("TTL a"), ":20", "{give}");
            assert_eq!(shard.run("PTTL a"), ":20000");
            assert_eq!(shard.run("EXPIRETIME a"), format!(":{}", now_ms / 1000 + 20));
            assert_eq!(shard.run("PEXPIRETIME a"), format!(":{}", now_ms + 20_000));
        }
        shard.run("PEXPIRE a 1499");
        assert_eq!(shard.run("TTL a"), ":1");
        shard.run("PEXPIRE a 1500");
        assert_eq!(shard.run("TTL a"), ":2");
        shard.advance_ms(1500);
        assert_eq!(shard.run("PTTL a"), ":-2");
        assert_eq!(shard.run("PERSIST a"), ":0");
    }

    #[test]
    fn a_time_that_has_passed_removes_the_key() {
        let mut shard = TestShard::new();
        let now_ms = shard.now_ms();
        for give in [
            "EXPIRE a 0".to_owned(),
            "EXPIRE a -1".to_owned(),
            "PEXPIRE a -9223372036854775808".to_owned(),
            "EXPIREAT a -5".to_owned(),
            format!("PEXPIREAT a {now_ms}"),
        ] {
            shard.put("a", "1", 0);
            assert_eq!(shard.run(&give), ":1", "{give}");
            assert_eq!(shard.run("EXISTS a"), ":0", "{give}");
        }
        shard.take_effects();
        assert_eq!(shard.run("EXPIRE nothing 10"), ":0");
        assert_eq!(shard.run("EXPIRE nothing -10"), ":0");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn conditions_compare_with_what_the_key_has() {
        // Without an expiry, with one at 100 s; then what each condition answers to 50 s, 100 s and 200 s.
        for (condition, without, with) in [
            ("NX", [1, 1, 1], [0, 0, 0]),
            ("XX", [0, 0, 0], [1, 1, 1]),
            ("GT", [0, 0, 0], [0, 0, 1]),
            ("LT", [1, 1, 1], [1, 0, 0]),
            ("XX GT", [0, 0, 0], [0, 0, 1]),
            ("lt xx", [0, 0, 0], [1, 0, 0]),
        ] {
            for (place, seconds) in [50, 100, 200].into_iter().enumerate() {
                for (expiry_ms, answers) in [(0, without), (100_000, with)] {
                    let mut shard = TestShard::new();
                    shard.put("a", "1", if expiry_ms == 0 { 0 } else { shard.now_ms() + expiry_ms });
                    shard.take_effects();
                    let answer = shard.run(&format!("EXPIRE a {seconds} {condition}"));
                    assert_eq!(answer, format!(":{}", answers[place]), "{condition} {seconds} {expiry_ms}");
                    assert_eq!(shard.take_effects().len(), answers[place]);
                }
            }
        }
        let mut shard = TestShard::new();
        shard.put("a", "1", 0);
        assert_eq!(shard.run("EXPIRE a -1 LT"), ":1");
        assert_eq!(shard.run("EXISTS a"), ":0");
    }

    #[test]
    fn refusals() {
        let mut shard = TestShard::new();
        shard.put("a", "1", 0);
        shard.take_effects();
        let incompatible = "-ERR NX and XX, GT or LT options at the same time are not compatible";
        for (command, error) in [
            ("EXPIRE a x", "-ERR value is not an integer or out of range"),
            ("EXPIRE a 1.5", "-ERR value is not an integer or out of range"),
            ("EXPIRE a x foo", "-ERR Unsupported option foo"),
            ("EXPIRE a 1 NX XX", incompatible),
            ("EXPIRE a 1 NX GT", incompatible),
            ("EXPIRE a 1 LT NX", incompatible),
            ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a 9223372036854775", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT a 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
            ("PEXPIRE nothing 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIRE a", "-ERR wrong number of arguments for 'expire' command"),
        ] {
            assert_eq!(shard.run(command), error, "{command}");
        }
        assert!(shard.take_effects().is_empty());
        assert_eq!(shard.run("PEXPIREAT a 9223372036854775807"), ":1");
        assert_eq!(shard.run("PEXPIRETIME a"), ":9223372036854775807");
    }
}
