//! Numbers as redis.conf writes them.

use super::error::ValueError;

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberForm {
    /// Decimal digits, perhaps a minus.
    Plain,
    /// Bytes, with an optional unit (1k is 1000, 1kb is 1024).
    Memory,
    /// Bytes, or a percentage of maxmemory, which is kept as a negative number.
    MemoryOrPercent,
    /// Octal digits: file permissions.
    Octal,
}

/// Parses a number of this form that must lie within both bounds, inclusive.
///
/// For [`NumberForm::MemoryOrPercent`] `least` is the largest percentage, negated.
pub fn parse_number(word: &[u8], form: NumberForm, least: i128, most: i128) -> Result<i128, ValueError> {
    let value = match form {
        NumberForm::Plain => parse_integer(word).map(i128::from).ok_or(ValueError::NotInteger)?,
        NumberForm::Memory => parse_memory(word).map(i128::from).ok_or(ValueError::NotMemory)?,
        NumberForm::Octal => parse_octal(word).ok_or(ValueError::NotOctal)?,
        NumberForm::MemoryOrPercent => match (parse_memory(word), word.strip_suffix(b"%").and_then(parse_integer)) {
            (Some(bytes), _) => i128::from(bytes),
            (None, Some(percent)) if percent >= 0 => {
                if i128::from(percent) > -least {
                    return Err(ValueError::PercentTooLarge { most: -least });
                }
                return Ok(-i128::from(percent));
            }
            _ => return Err(ValueError::NotMemoryOrPercent),
        },
    };
    let least = if form == NumberForm::MemoryOrPercent { 0 } else { least };
    if value < least || value > most {
        return Err(match form {
            NumberForm::Octal => ValueError::OutOfOctalRange { least, most },
            _ => ValueError::OutOfRange { least, most },
        });
    }
    Ok(value)
}

/// An integer exactly as Redis prints it: no plus, no leading zeros, no spaces.
pub fn parse_integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let plain = matches!(digits.first()?, b'1'..=b'9') || word == b"0";
    let text = std::str::from_utf8(word).ok()?;
    if plain { text.parse().ok() } else { None }
}

/// Bytes with an optional unit: b, k, kb, m, mb, g, gb in any case.
pub fn parse_memory(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    number.checked_mul(factor)
}

fn parse_octal(word: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(word).ok()?;
    i64::from_str_radix(text, 8).ok().map(i128::from)
}

/// Bytes in the largest unit that divides them, for a file that people read.
pub fn format_memory(bytes: i128) -> String {
    for (unit, factor) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes > 0 && bytes % factor == 0 {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"1k", Some(1_000)),
            (b"1KB", Some(1_024)),
            (b"2m", Some(2_000_000)),
            (b"2Mb", Some(2 << 20)),
            (b"3g", Some(3_000_000_000)),
            (b"3gb", Some(3 << 30)),
            (b"7b", Some(7)),
            (b"1tb", None),
            (b"1.5gb", None),
            (b"-1", None),
            (b"", None),
            (b"mb", None),
            (b"1 mb", None),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551615gb", None),
        ];
        for (word, expected) in cases {
            assert_eq!(parse_memory(word), *expected, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn integers_are_read_strictly() {
        assert_eq!(parse_integer(b"-12"), Some(-12));
        assert_eq!(parse_integer(b"0"), Some(0));
        for word in ["", "-", "+1", "01", "-0", "1_0", " 1", "1 ", "9223372036854775808", "x"] {
            assert_eq!(parse_integer(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn percentages_are_bounded_apart_from_bytes() {
        let parse = |word: &[u8]| parse_number(word, NumberForm::MemoryOrPercent, -100, i128::from(i64::MAX));
        assert_eq!(parse(b"10%").unwrap(), -10);
        assert_eq!(parse(b"1mb").unwrap(), 1 << 20);
        assert_eq!(parse(b"101%").unwrap_err().to_string(), "percentage argument must be less or equal to 100");
        assert_eq!(parse(b"-5%").unwrap_err().to_string(), "argument must be a memory or percent value");
    }

    #[test]
    fn octal_bounds_are_told_in_octal() {
        assert_eq!(parse_number(b"755", NumberForm::Octal, 0, 0o777).unwrap(), 0o755);
        let error = parse_number(b"1000", NumberForm::Octal, 0, 0o777).unwrap_err();
        assert_eq!(error.to_string(), "argument must be between 0 and 777 inclusive");
        let error = parse_number(b"9", NumberForm::Octal, 0, 0o777).unwrap_err();
        assert_eq!(error.to_string(), "argument couldn't be parsed as an octal number");
    }

    #[test]
    fn memory_is_written_in_the_largest_unit_that_divides_it() {
        assert_eq!(format_memory(64 << 20), "64mb");
        assert_eq!(format_memory(3 << 30), "3gb");
        assert_eq!(format_memory(1_025), "1025");
        assert_eq!(format_memory(0), "0");
    }
}
