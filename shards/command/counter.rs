//! Strings as numbers.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::extended::Extended;
use crate::command::failure::Failure;
use crate::keyspace::{Entry, NewValue, Value, canonical_integer};
use crate::reply::ReplySink;

/// `INCR key`.
pub fn incr(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    add(call, arguments[1], 1, reply)
}

/// `DECR key`.
pub fn decr(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    add(call, arguments[1], -1, reply)
}

/// `INCRBY key increment`.
pub fn incrby(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let increment = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    add(call, arguments[1], increment, reply)
}

/// `DECRBY key decrement`.
pub fn decrby(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let decrement = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let increment = decrement.checked_neg().ok_or(Failure::text("ERR decrement would overflow"))?;
    add(call, arguments[1], increment, reply)
}

#[inline]
fn add(call: &mut Call<'_>, key: &[u8], increment: i64, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (number, expires_ms) = match call.read(key) {
        None => (0, 0),
        Some(entry) => match entry.value() {
            Value::Int(number) => (*number, entry.expires_ms()),
            // A buffer, say, that APPEND made: its digits may be a number all the same.
            other => {
                let number = if other.len() > INTEGER_BYTES_MAX {
                    None
                } else {
                    canonical_integer(&other.bytes(call.segments)?)
                };
                (number.ok_or(Failure::NotInteger)?, entry.expires_ms())
            }
        },
    };
    let sum = number.checked_add(increment).ok_or(Failure::text("ERR increment or decrement would overflow"))?;
    call.put(key, NewValue::Int(sum), expires_ms);
    reply.integer(sum);
    Ok(())
}

/// The longest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 20;

/// `INCRBYFLOAT key increment`: by x87's arithmetic, as Redis has it on the common machines (see [`Extended`]).
pub fn incrbyfloat(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let key = arguments[1];
    let entry = call.read(key);
    let expires_ms = entry.map_or(0, Entry::expires_ms);
    let value = match entry {
        // Bytes that are cold are long, and no number.
        Some(entry) if entry.value().len() > Extended::TEXT_BYTES_MAX => None,
        Some(entry) => Extended::parse(&entry.value().bytes(call.segments)?),
        None => Some(Extended::ZERO),
    };
    let value = value.ok_or(Failure::NotFloat)?;
    let increment = Extended::parse(arguments[2]).ok_or(Failure::NotFloat)?;
    let sum = value.add(increment).ok_or(Failure::text("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_string();
    call.put(key, NewValue::Text(text.as_bytes()), expires_ms);
    reply.bulk(text.as_bytes());
    Ok(())
}

const WRITE: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("decr", 2, WRITE, Keys::FIRST, Run::Shard(decr)),
    Command::row("decrby", 3, WRITE, Keys::FIRST, Run::Shard(decrby)),
    Command::row("incr", 2, WRITE, Keys::FIRST, Run::Shard(incr)),
    Command::row("incrby", 3, WRITE, Keys::FIRST, Run::Shard(incrby)),
    Command::row("incrbyfloat", 3, WRITE, Keys::FIRST, Run::Shard(incrbyfloat)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::TestShard;

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const NOT_FLOAT: &str = "-ERR value is not a valid float";

    #[test]
    fn integers_count_up_and_down() {
        let mut shard = TestShard::new();
        let now = shard.now_ms();
        assert_eq!(shard.run("INCR k"), ":1");
        assert_eq!(shard.run("DECRBY k 5"), ":-4");
        assert_eq!(shard.run("INCRBY k 10"), ":6");
        assert_eq!(shard.run("DECR k"), ":5");
        assert_eq!(shard.take_effects(), ["put k 1", "put k -4", "put k 6", "put k 5"]);
        shard.run("SET t 7 PX 100");
        shard.run("INCR t");
        let until = now + 100;
        assert_eq!(shard.take_effects(), [format!("put t 7 until {until}"), format!("put t 8 until {until}")]);
        shard.advance_ms(100);
        assert_eq!(shard.run("INCR t"), ":1");
        shard.run("SET b 1");
        shard.run("APPEND b 2");
        assert_eq!(shard.run("INCR b"), ":13");
    }

    #[test]
    fn integers_do_not_overflow() {
        let mut shard = TestShard::new();
        let overflow = "-ERR increment or decrement would overflow";
        shard.run("MSET max 9223372036854775807 min -9223372036854775808 text x long 12345678901234567890123");
        assert_eq!(shard.run("INCR max"), overflow);
        assert_eq!(shard.run("DECR min"), overflow);
        assert_eq!(shard.run("INCRBY min -1"), overflow);
        assert_eq!(shard.run("DECRBY k -9223372036854775808"), "-ERR decrement would overflow");
        assert_eq!(shard.run("INCRBY k 9223372036854775808"), NOT_INTEGER);
        assert_eq!(shard.run("INCRBY k 1.0"), NOT_INTEGER);
        assert_eq!(shard.run("INCR text"), NOT_INTEGER);
        assert_eq!(shard.run("INCR long"), NOT_INTEGER);
        assert_eq!(shard.take_effects().len(), 4);
    }

    #[test]
    fn floats_are_added_as_redis_adds_them() {
        let mut shard = TestShard::new();
        for (value, increment, sum) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("0.1", "0.2", "0.3"),
            ("1.5", "-0x1p-1", "1"),
            ("17179869184", "1.5", "17179869185.5"),
            ("-0", "-1e-30", "0"),
            ("1e3", "-.5", "999.5"),
        ] {
            shard.run(&format!("SET k {value}"));
            assert_eq!(shard.run(&format!("INCRBYFLOAT k {increment}")), format!("\"{sum}\""));
            assert_eq!(shard.take_effects()[1], format!("put k {sum}"));
        }
        assert_eq!(shard.run("INCRBYFLOAT new 1.25"), "\"1.25\"");
        shard.run("SET t 1 PX 100");
        shard.take_effects();
        shard.run("INCRBYFLOAT t 1.5");
        let until = shard.now_ms() + 100;
        assert_eq!(shard.take_effects(), [format!("put t 2.5 until {until}")]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut shard = TestShard::new();
        shard.run("SET text abc");
        shard.run("SET n 1");
        shard.run_words(&[b"SET", b"long", &vec![b'1'; 6000]]);
        shard.cool();
        shard.take_effects();
        assert_eq!(shard.run("INCRBYFLOAT text 1"), NOT_FLOAT);
        assert_eq!(shard.run("INCRBYFLOAT long 1"), NOT_FLOAT);
        assert_eq!(shard.cold_runs, 0);
        for increment in ["x", "\" 1\"", "1e", "1e5000", "1e-5000", "nan", "\"\"", "1\\x00"] {
            assert_eq!(shard.run(&format!("INCRBYFLOAT n {increment}")), NOT_FLOAT, "{increment}");
        }
        for increment in ["inf", "-Infinity", "+INF"] {
            assert_eq!(
                shard.run(&format!("INCRBYFLOAT n {increment}")),
                "-ERR increment would produce NaN or Infinity"
            );
        }
        assert!(shard.take_effects().is_empty());
    }
}
