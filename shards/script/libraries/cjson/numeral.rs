//! Numbers as C's `strtod` reads them, which is more than JSON has: hexadecimal ones, infinities, `nan`.

use super::super::output::Output;
use super::super::trouble::Trouble;

/// Decimal digits that can matter: the longest border between two doubles has 767. What follows matters only by not being zero.
const DIGITS_MAX: usize = 800;
/// Beyond it every exponent is as good as infinite, whatever the digits: they are less than that many.
const EXPONENT_MAX: i64 = 1 << 40;
/// Digits between two looks at the clock.
const PIECE_BYTES: usize = 4096;

/// The longest number that `text` starts with, and its length in bytes.
pub(super) fn read(text: &[u8], work: &mut Output) -> Result<Option<(f64, usize)>, Trouble> {
    let start = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let sign = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    let rest = &text[start..];
    let found = if has_word(rest, b"infinity") {
        Some((f64::INFINITY, 8))
    } else if has_word(rest, b"inf") {
        Some((f64::INFINITY, 3))
    } else if has_word(rest, b"nan") {
        Some((f64::NAN, nan_len(rest, work)?))
    } else if has_word(rest, b"0x") {
        // Without digits behind it, it is a zero and a letter.
        Some(hexadecimal(rest, work)?.unwrap_or((0.0, 1)))
    } else {
        decimal(rest, work)?
    };
    Ok(found.map(|(value, len)| (sign * value, start + len)))
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// `nan` may carry letters in parentheses.
fn nan_len(text: &[u8], work: &mut Output) -> Result<usize, Trouble> {
    if text.get(3) != Some(&b'(') {
        return Ok(3);
    }
    let end = end_of(text, 4, |byte| byte.is_ascii_alphanumeric() || byte == b'_', work)?;
    Ok(if text.get(end) == Some(&b')') { end + 1 } else { 3 })
}

/// Where the bytes end that are `wanted`.
fn end_of(text: &[u8], from: usize, wanted: impl Fn(u8) -> bool, work: &mut Output) -> Result<usize, Trouble> {
    let mut end = from;
    for piece in text[from..].chunks(PIECE_BYTES) {
        let count = piece.iter().take_while(|&&byte| wanted(byte)).count();
        work.spend(count)?;
        end += count;
        if count < piece.len() {
            break;
        }
    }
    Ok(end)
}

/// The digits before and after a point, and where they end; `None` if there are none.
struct Mantissa<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    end: usize,
}

fn mantissa<'a>(
    text: &'a [u8],
    from: usize,
    is_digit: fn(u8) -> bool,
    work: &mut Output,
) -> Result<Option<Mantissa<'a>>, Trouble> {
    let whole_end = end_of(text, from, is_digit, work)?;
    let whole = &text[from..whole_end];
    let (fraction, end) = if text.get(whole_end) == Some(&b'.') {
        let end = end_of(text, whole_end + 1, is_digit, work)?;
        (&text[whole_end + 1..end], end)
    } else {
        (&[][..], whole_end)
    };
    Ok((whole.len() + fraction.len() > 0).then_some(Mantissa { whole, fraction, end }))
}

/// The exponent at `from`, and where it ends; without digits there is none.
fn exponent(text: &[u8], from: usize, letter: u8, work: &mut Output) -> Result<(i64, usize), Trouble> {
    if !text.get(from).is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)) {
        return Ok((0, from));
    }
    let sign = text.get(from + 1).copied();
    let start = from + 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
    let end = end_of(text, start.min(text.len()), |byte| byte.is_ascii_digit(), work)?;
    if end <= start {
        return Ok((0, from));
    }
    let mut value = 0;
    for piece in text[start..end].chunks(PIECE_BYTES) {
        work.spend(piece.len())?;
        value = piece.iter().fold(value, |value, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    }
    Ok((if sign == Some(b'-') { -value } else { value }, end))
}

fn decimal(text: &[u8], work: &mut Output) -> Result<Option<(f64, usize)>, Trouble> {
    let Some(mantissa) = mantissa(text, 0, |byte| byte.is_ascii_digit(), work)? else {
        return Ok(None);
    };
    let (exponent, end) = exponent(text, mantissa.end, b'e', work)?;
    work.spend(end.min(DIGITS_MAX))?;
    if end <= DIGITS_MAX {
        let text = std::str::from_utf8(&text[..end]).expect("digits are ASCII");
        return Ok(Some((text.parse().expect("this is a number to Rust too"), end)));
    }
    let mut digits = Vec::with_capacity(DIGITS_MAX + 32);
    let mut power = exponent;
    let mut has_more = false;
    for (part, is_fraction) in [(mantissa.whole, false), (mantissa.fraction, true)] {
        for piece in part.chunks(PIECE_BYTES) {
            work.spend(piece.len())?;
            for &digit in piece {
                if digits.is_empty() && digit == b'0' {
                    power -= i64::from(is_fraction);
                } else if digits.len() < DIGITS_MAX {
                    digits.push(digit);
                    power -= i64::from(is_fraction);
                } else {
                    has_more |= digit != b'0';
                    power += i64::from(!is_fraction);
                }
            }
        }
    }
    if digits.is_empty() {
        return Ok(Some((0.0, end)));
    }
    if has_more {
        digits.push(b'1');
        power -= 1;
    }
    digits.extend_from_slice(format!("e{power}").as_bytes());
    let text = std::str::from_utf8(&digits).expect("digits are ASCII");
    Ok(Some((text.parse().expect("this is a number to Rust too"), end)))
}

fn hexadecimal(text: &[u8], work: &mut Output) -> Result<Option<(f64, usize)>, Trouble> {
    let Some(mantissa) = mantissa(text, 2, |byte| byte.is_ascii_hexdigit(), work)? else {
        return Ok(None);
    };
    let (mut power, end) = exponent(text, mantissa.end, b'p', work)?;
    let mut bits = 0_u64;
    for (part, is_fraction) in [(mantissa.whole, false), (mantissa.fraction, true)] {
        for piece in part.chunks(PIECE_BYTES) {
            work.spend(piece.len())?;
            for &digit in piece {
                let digit = u64::from((digit as char).to_digit(16).expect("a hexadecimal digit"));
                if bits >> 60 == 0 {
                    bits = bits << 4 | digit;
                    power -= if is_fraction { 4 } else { 0 };
                } else {
                    // Too low to be seen, except by not being zero.
                    bits |= u64::from(digit != 0);
                    power += if is_fraction { 0 } else { 4 };
                }
            }
        }
    }
    Ok(Some((scaled(bits, power), end)))
}

/// `bits` times two to `power`, rounded once: to the nearest double, to the even one between two.
fn scaled(bits: u64, power: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let shift = bits.leading_zeros();
    let bits = u128::from(bits << shift);
    let power = power - i64::from(shift);
    let exponent = power + 63;
    if exponent > 1023 {
        return f64::INFINITY;
    }
    let dropped = if exponent >= -1022 { 11 } else { 11 - 1022 - exponent };
    if dropped > 64 {
        return 0.0;
    }
    let half = 1 << (dropped - 1);
    let rest = bits & (2 * half - 1);
    let mut kept = bits >> dropped;
    if rest > half || rest == half && kept & 1 == 1 {
        kept += 1;
    }
    let power = power + dropped;
    let unit = if power >= -1022 {
        f64::from_bits(((power + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (power + 1074))
    };
    kept as f64 * unit
}

#[cfg(test)]
mod tests {
    use super::super::super::super::room::Room;
    use super::*;

    fn read_text(text: &str) -> Option<(f64, usize)> {
        let room = Room::alone(1 << 20);
        read(text.as_bytes(), &mut Output::new(&room)).unwrap()
    }

    #[test]
    fn the_longest_number_is_read() {
        for (text, expected) in [
            ("1", Some((1.0, 1))),
            ("-12.5e1x", Some((-125.0, 7))),
            ("1.", Some((1.0, 2))),
            ("1.e2", Some((100.0, 4))),
            ("-.5", Some((-0.5, 3))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            ("1e-", Some((1.0, 1))),
            (".", None),
            ("-", None),
            ("--1", None),
            ("", None),
            ("1e99999999999999999999", Some((f64::INFINITY, 22))),
            ("1e-99999999999999999999", Some((0.0, 23))),
            ("0e99999999999999999999", Some((0.0, 22))),
            ("inf", Some((f64::INFINITY, 3))),
            ("-Infinityx", Some((f64::NEG_INFINITY, 9))),
            ("infinit", Some((f64::INFINITY, 3))),
            ("0x10", Some((16.0, 4))),
            ("0x", Some((0.0, 1))),
            ("0x.8p1", Some((1.0, 6))),
            ("0x.", Some((0.0, 1))),
            ("0x1p", Some((1.0, 3))),
            ("-0x1p-1074", Some((-5e-324, 10))),
            ("0x1p-1075", Some((0.0, 9))),
            ("0x1.8p-1075", Some((5e-324, 11))),
            ("0x1.fffffffffffff7p1023", Some((f64::MAX, 23))),
            ("0x1.fffffffffffff8p1023", Some((f64::INFINITY, 23))),
        ] {
            assert_eq!(read_text(text), expected, "{text}");
        }
        // The middle between two doubles, and just above it.
        assert_eq!(read_text("0x20000000000001").unwrap().0, 9_007_199_254_740_992.0);
        assert_eq!(read_text("0x20000000000001.00000000001").unwrap().0, 9_007_199_254_740_994.0);
        assert!(read_text("nan").unwrap().0.is_nan());
        assert_eq!(read_text("NaN(a_1)b").unwrap().1, 8);
        assert_eq!(read_text("nan(a-1)").unwrap().1, 3);
    }

    #[test]
    fn long_texts_are_read_as_exactly_as_short_ones() {
        let zeros = "0".repeat(5000);
        assert_eq!(read_text(&format!("{zeros}125")), Some((125.0, 5003)));
        assert_eq!(read_text(&format!("0.{zeros}125e5003")), Some((125.0, 5010)));
        assert_eq!(read_text(&format!("125{zeros}e-5000")), Some((125.0, 5009)));
        assert_eq!(read_text(&format!("{zeros}.{zeros}")), Some((0.0, 10001)));
        // The middle between two doubles, and just above it.
        assert_eq!(read_text(&format!("9007199254740993.{zeros}")).unwrap().0, 9_007_199_254_740_992.0);
        assert_eq!(read_text(&format!("9007199254740993.{zeros}1")).unwrap().0, 9_007_199_254_740_994.0);
    }
}
