//! Strings as arrays of integers of any width.

use crate::command::bit_offset::BitOffset;
use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::field::{Field, Overflow};
use crate::keyspace::{NewValue, canonical_integer};
use crate::reply::ReplySink;

/// One step of BITFIELD.
struct Step {
    field: Field,
    offset: BitOffset,
    action: Action,
}

enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Step {
    /// Reads all steps.
    fn parse(arguments: &[&[u8]], string_bytes_max: usize) -> Result<Vec<Step>, Failure> {
        let mut steps = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut rest = arguments;
        while let [name, after @ ..] = rest {
            let is = |action: &str| name.eq_ignore_ascii_case(action.as_bytes());
            let place = |field: &[u8], offset: &[u8]| -> Result<(Field, BitOffset), Failure> {
                let field = Field::parse(field)?;
                Ok((field, BitOffset::parse_field(offset, field.bits, string_bytes_max)?))
            };
            match after {
                [field, offset, after @ ..] if is("GET") => {
                    let (field, offset) = place(field, offset)?;
                    steps.push(Step { field, offset, action: Action::Get });
                    rest = after;
                }
                [field, offset, number, after @ ..] if is("SET") || is("INCRBY") => {
                    let (field, offset) = place(field, offset)?;
                    let number = canonical_integer(number).ok_or(Failure::NotInteger)?;
                    let action = if is("SET") { Action::Set(number, overflow) } else { Action::Add(number, overflow) };
                    steps.push(Step { field, offset, action });
                    rest = after;
                }
                [kind, after @ ..] if is("OVERFLOW") => {
                    overflow = Overflow::parse(kind)?;
                    rest = after;
                }
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(steps)
    }

    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    /// Where the field ends, in bytes.
    fn end(&self) -> usize {
        (self.offset.0 + u64::from(self.field.bits)).div_ceil(8) as usize
    }
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY type offset increment ...]`.
pub fn bitfield(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let steps = Step::parse(&arguments[2..], call.string_bytes_max)?;
    run(call, arguments[1], &steps, reply)
}

/// `BITFIELD_RO key [GET type offset ...]`.
pub fn bitfield_ro(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let steps = Step::parse(&arguments[2..], call.string_bytes_max)?;
    if steps.iter().any(Step::writes) {
        return Err(Failure::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    run(call, arguments[1], &steps, reply)
}

fn run(call: &mut Call<'_>, key: &[u8], steps: &[Step], reply: &mut dyn ReplySink) -> Result<(), Failure> {
    // As in Redis, the string grows for every write, those that fail by overflow included.
    if let Some(end) = steps.iter().filter(|step| step.writes()).map(Step::end).max() {
        let len = call.read(key).map(|entry| entry.value().len());
        if len.is_none() {
            call.put(key, NewValue::Bytes(b""), 0);
        }
        if len.unwrap_or(0) < end {
            call.splice(key, end - 1, &[0])?;
        }
    }
    reply.array(steps.len());
    for step in steps {
        let bytes = read_bytes(call, key, step)?;
        let shift = step.offset.0 % 8;
        let old = step.field.read(bytes, shift as u32);
        let (new, shown) = match step.action {
            Action::Get => (None, old),
            Action::Set(number, overflow) => (step.field.set(number, overflow), old),
            Action::Add(number, overflow) => {
                let sum = step.field.add(old, number, overflow);
                (sum, sum.unwrap_or(old))
            }
        };
        if new.is_none() && step.writes() {
            reply.null();
            continue;
        }
        if let Some(new) = new.filter(|&new| new != old) {
            let written = step.field.write(bytes, shift as u32, new).to_be_bytes();
            let first = step.offset.byte();
            call.splice(key, first, &written[..step.end() - first])?;
        }
        reply.integer(shown);
    }
    Ok(())
}

/// The sixteen bytes from the field's first one on, as far as the field goes; what the string does not have is 0.
fn read_bytes(call: &Call<'_>, key: &[u8], step: &Step) -> Result<u128, Failure> {
    let mut bytes = [0; 16];
    if let Some(entry) = call.read(key) {
        let len = entry.value().len();
        let range = step.offset.byte().min(len)..step.end().min(len);
        let part = entry.value().part(range, call.segments)?;
        bytes[..part.len()].copy_from_slice(&part);
    }
    Ok(u128::from_be_bytes(bytes))
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::row("bitfield", -2, flag::WRITE | flag::DENYOOM, Keys::FIRST, Run::Shard(bitfield)),
    Command::row("bitfield_ro", -2, flag::READONLY | flag::FAST, Keys::FIRST, Run::Shard(bitfield_ro)),
];

#[cfg(test)]
mod tests {
    use crate::command::testing::{LARGE_BYTES_MIN, TestShard};

    #[test]
    fn fields_are_read_and_written() {
        let mut shard = TestShard::new();
        assert_eq!(shard.run("BITFIELD k"), "[]");
        assert_eq!(shard.run("BITFIELD k GET u8 0 get i64 100"), "[:0, :0]");
        assert!(shard.take_effects().is_empty());
        assert_eq!(shard.run("BITFIELD k INCRBY i5 100 1 GET u4 0"), "[:1, :0]");
        assert_eq!(shard.run("STRLEN k"), ":14");
        assert_eq!(shard.run("BITFIELD k SET u8 #1 255 GET i8 #1 GET u4 12 SET u8 8 255"), "[:0, :-1, :15, :255]");
        assert_eq!(
            shard.run("BITFIELD k SET i64 3 -2 GET i64 3 GET u63 4"),
            "[:574208952489738240, :-2, :9223372036854775806]"
        );
        assert_eq!(shard.run("SET k \"\""), "OK");
        assert_eq!(shard.run("BITFIELD k SET i12 6 -1365"), "[:0]");
        assert_eq!(shard.run("GET k"), r#""\x02\xaa\xc0""#);
    }

    #[test]
    fn effects_are_the_bytes_that_changed() {
        let mut shard = TestShard::new();
        shard.run("BITFIELD k SET u8 4 255 SET u8 4 255 SET u1 20 1 GET u8 0");
        assert_eq!(shard.take_effects(), ["put k ", "splice k 2 \\x00", "splice k 0 \\x0f\\xf0", "splice k 2 \\x08"]);
        shard.run("BITFIELD k SET u8 4 255 INCRBY u8 4 0");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let mut shard = TestShard::new();
        for (steps, shown) in [
            ("SET u8 0 250 INCRBY u8 0 10", "[:0, :4]"),
            ("OVERFLOW SAT INCRBY u8 0 1000 INCRBY u8 0 -1000", "[:255, :0]"),
            ("OVERFLOW FAIL INCRBY u8 0 256 GET u8 0 OVERFLOW wrap INCRBY u8 0 256", "[nil, :0, :0]"),
            ("SET i8 0 127 INCRBY i8 0 1 INCRBY i8 0 -1", "[:0, :-128, :127]"),
            ("OVERFLOW SAT INCRBY i8 0 1 INCRBY i8 0 -1000", "[:127, :-128]"),
            ("OVERFLOW FAIL INCRBY i8 0 -1 SET i8 0 128 SET i8 0 5", "[nil, nil, :-128]"),
            ("OVERFLOW SAT SET i8 0 -1000 GET i8 0 SET u4 0 -1 GET u4 0", "[:5, :-128, :8, :15]"),
            (
                "SET i64 8 9223372036854775807 INCRBY i64 8 1 OVERFLOW SAT INCRBY i64 8 -1",
                "[:0, :-9223372036854775808, :-9223372036854775808]",
            ),
            (
                "OVERFLOW SAT SET i8 0 -9223372036854775808 SET i8 0 -9223372036854775000 GET i8 0",
                "[:-16, :127, :-128]",
            ),
            ("SET u63 8 -1 GET u63 8", "[:4611686018427387904, :9223372036854775807]"),
        ] {
            assert_eq!(shard.run(&format!("BITFIELD k {steps}")), shown, "{steps}");
        }
        assert_eq!(shard.run("BITFIELD fails OVERFLOW FAIL INCRBY u8 8 256"), "[nil]");
        assert_eq!(shard.run("STRLEN fails"), ":2");
    }

    #[test]
    fn errors() {
        let mut shard = TestShard::new();
        let bad_type =
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        for field in ["u64", "i65", "i0", "u0", "x8", "u", "U8", "i-1", "u8x", "\"\""] {
            assert_eq!(shard.run(&format!("BITFIELD k GET {field} 0")), bad_type, "{field}");
        }
        let bad_offset = "-ERR bit offset is not an integer or out of range";
        for offset in ["-1", "#-1", "x", "#", "4294967296", "#9223372036854775807"] {
            assert_eq!(shard.run(&format!("BITFIELD k GET u8 {offset}")), bad_offset, "{offset}");
        }
        for steps in ["GET u8", "SET u8 0", "INCRBY u8 0", "OVERFLOW", "FOO u8 0", "GET u8 0 1"] {
            assert_eq!(shard.run(&format!("BITFIELD k {steps}")), "-ERR syntax error", "{steps}");
        }
        assert_eq!(shard.run("BITFIELD k OVERFLOW x"), "-ERR Invalid OVERFLOW type specified");
        assert_eq!(shard.run("BITFIELD k SET u8 0 x"), "-ERR value is not an integer or out of range");
        let read_only = "-ERR BITFIELD_RO only supports the GET subcommand";
        assert_eq!(shard.run("BITFIELD_RO k SET u8 0 1"), read_only);
        assert_eq!(shard.run("BITFIELD_RO k GET u8 0 OVERFLOW SAT"), "[:0]");
        assert!(shard.take_effects().is_empty());
    }

    #[test]
    fn a_field_of_a_cold_string() {
        let mut shard = TestShard::new();
        shard.run_words(&[b"SET", b"k", &vec![1; LARGE_BYTES_MIN]]);
        shard.cool();
        assert_eq!(shard.run("BITFIELD_RO k GET u16 800"), "[:257]");
        assert_eq!(shard.segments.brought_in(), [(100, 2)]);
        assert_eq!(shard.run("BITFIELD k GET u8 800 SET u8 800 2 GET u16 800"), "[:1, :1, :513]");
    }
}
