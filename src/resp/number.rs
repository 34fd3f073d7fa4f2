//! Decimal integers as Redis reads them in its protocol and its arguments.

/// Reads a whole text as a signed decimal integer, as strictly as Redis: no blanks, no plus sign, no leading zeros, no
/// `-0`. `None` if it is anything else or does not fit.
pub fn parse_decimal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Summed below zero, where i64 reaches one further.
    let mut value: i64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_redis_refuses() {
        for text in
            ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn reaches_both_ends() {
        assert_eq!(parse_decimal(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_decimal(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_decimal(b"0"), Some(0));
    }

    proptest! {
        #[test]
        fn reads_back_every_integer(value: i64) {
            prop_assert_eq!(parse_decimal(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn accepts_only_the_canonical_text(text in "[-+0-9]{0,4}") {
            if let Some(value) = parse_decimal(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
