//! x87's extended precision (64 bits of mantissa), which INCRBYFLOAT's results are rounded to.
//!
//! Redis reads both operands with `strtold`, adds them as `long double`, and prints `%.17Lf` without trailing zeros. Its digits
//! are therefore those of the 80-bit format, not of the decimal sum: `0.1 + 0.2` prints `0.3` because the error lies behind
//! the 17th digit, and `100000000000000000000 + 0.1` loses the tenth. The three steps are done here on integers, each exact
//! before its one rounding (to nearest, ties to even), so that every machine gets the same digits.

use crate::command::natural::Natural;
use std::fmt;

/// Fraction digits that are printed.
const FRACTION_DIGITS: u32 = 17;
/// The exponent of the largest numbers: beyond it they are infinite.
const EXPONENT_MAX: i64 = 16384 - 64;
/// The least power of two that is not rounded to zero.
const LEAST_POWER: i64 = -16445;
/// Decimal exponents beyond this are surely out of range.
const DECIMAL_EXPONENT_MAX: i64 = 5000;

/// A number of extended precision, not NaN. Zeros have no sign: nothing that is printed shows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Too large, or said to be infinite.
    Infinite {
        /// Its sign.
        negative: bool,
    },
    /// `mantissa * 2^exponent`; the mantissa's top bit is 1, but for zero.
    Finite {
        /// Its sign.
        negative: bool,
        /// 64 bits.
        mantissa: u64,
        /// The power of two that the mantissa's lowest bit stands for.
        exponent: i64,
    },
}

impl Extended {
    /// Nothing.
    pub const ZERO: Extended = Extended::Finite { negative: false, mantissa: 0, exponent: 0 };
    /// The longest text that is a number, in bytes.
    pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

    /// The number that C's `strtold` reads, if it reads all of it: decimal or hexadecimal, or `inf`. Not a number: NaN, and what
    /// lies beyond the format's range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > Self::TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended::Infinite { negative });
        }
        let number = match text {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(negative, digits)?,
            digits => parse_decimal(negative, digits)?,
        };
        match number {
            Extended::Finite { mantissa, exponent, .. } => {
                let power = exponent + 63;
                let vanishes = power < LEAST_POWER - 1 || (power == LEAST_POWER - 1 && mantissa == 1 << 63);
                (mantissa == 0 || !vanishes).then_some(number)
            }
            Extended::Infinite { .. } => None,
        }
    }

    /// The rounded sum; none if it is infinite or no number.
    pub fn add(self, other: Extended) -> Option<Extended> {
        let (
            Extended::Finite { negative: n1, mantissa: m1, exponent: e1 },
            Extended::Finite { negative: n2, mantissa: m2, exponent: e2 },
        ) = (self, other)
        else {
            return None;
        };
        if m1 == 0 || m2 == 0 {
            return Some(if m1 == 0 { other } else { self });
        }
        let ((negative, large, exponent), (other_negative, small, low)) =
            if e1 >= e2 { ((n1, m1, e1), (n2, m2, e2)) } else { ((n2, m2, e2), (n1, m1, e1)) };
        // 62 bits below the mantissa are enough to round by; what lies below them only says that it is there.
        const EXTRA_BITS: u32 = 62;
        let large = u128::from(large) << EXTRA_BITS;
        let small = u128::from(small) << EXTRA_BITS;
        let shift = u32::try_from(exponent - low).unwrap_or(u32::MAX);
        let shifted = small.checked_shr(shift).unwrap_or(0);
        let rest = shifted.checked_shl(shift).unwrap_or(0) != small;
        let exponent = exponent - i64::from(EXTRA_BITS);
        let sum = if negative == other_negative {
            rounded(negative, large + shifted, rest, exponent)
        } else if large >= shifted + u128::from(rest) {
            rounded(negative, large - shifted - u128::from(rest), rest, exponent)
        } else {
            // Equal exponents: nothing was shifted out.
            rounded(other_negative, shifted - large, false, exponent)
        };
        matches!(sum, Extended::Finite { .. }).then_some(sum)
    }
}

/// `value * 2^exponent`, and a little more if `rest`, rounded to 64 bits.
fn rounded(negative: bool, value: u128, rest: bool, exponent: i64) -> Extended {
    if value == 0 {
        return Extended::ZERO;
    }
    let bits = 128 - value.leading_zeros();
    let (mut mantissa, mut exponent) = if bits <= 64 {
        assert!(!rest, "what was left out lies below the mantissa");
        ((value as u64) << (64 - bits), exponent - i64::from(64 - bits))
    } else {
        let shift = bits - 64;
        let (kept, low, half) = ((value >> shift) as u64, value & ((1 << shift) - 1), 1 << (shift - 1));
        let up = low > half || (low == half && (rest || kept & 1 == 1));
        (kept.wrapping_add(u64::from(up)), exponent + i64::from(shift))
    };
    if mantissa == 0 {
        // Rounding up carried out of the top.
        mantissa = 1 << 63;
        exponent += 1;
    }
    if exponent > EXPONENT_MAX {
        return Extended::Infinite { negative };
    }
    Extended::Finite { negative, mantissa, exponent }
}

/// Digits with at most one point: the digits, how many of them are a fraction's, and what follows.
fn split_digits(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<(Vec<u8>, usize, &[u8])> {
    let mut digits = Vec::with_capacity(text.len());
    let mut fraction = None;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if is_digit(byte) {
            digits.push(*byte);
        } else if *byte == b'.' && fraction.is_none() {
            fraction = Some(digits.len());
        } else {
            break;
        }
        at += 1;
    }
    let fraction_digits = fraction.map_or(0, |point| digits.len() - point);
    (!digits.is_empty()).then_some((digits, fraction_digits, &text[at..]))
}

/// The exponent after its letter, held within what no number needs; none if more follows.
fn parse_exponent(text: &[u8], letter: u8) -> Option<i64> {
    let [first, rest @ ..] = text else { return Some(0) };
    if first.to_ascii_lowercase() != letter {
        return None;
    }
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0, |exponent, digit| (exponent * 10 + i64::from(digit - b'0')).min(1 << 40));
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let (digits, fraction_digits, rest) = split_digits(text, u8::is_ascii_digit)?;
    let exponent = parse_exponent(rest, b'e')? - fraction_digits as i64;
    let leading_zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[leading_zeros..];
    if digits.is_empty() {
        return Some(Extended::ZERO);
    }
    if (exponent + digits.len() as i64).abs() > DECIMAL_EXPONENT_MAX {
        return None;
    }
    let mut number = Natural::from_digits(digits);
    if exponent >= 0 {
        number.multiply_by_power_of_ten(exponent as usize);
        let (top, below, rest) = number.top();
        return Some(rounded(negative, top, rest, below as i64));
    }
    // Long division in binary: one bit of the quotient before the point, 65 behind it.
    const QUOTIENT_BITS: i64 = 66;
    let mut divisor = Natural::power_of_ten(exponent.unsigned_abs() as usize);
    let difference = number.bits() as i64 - divisor.bits() as i64;
    if difference > 0 {
        divisor.shift_left(difference as usize);
    } else {
        number.shift_left(difference.unsigned_abs() as usize);
    }
    let mut quotient: u128 = 0;
    for _ in 0..QUOTIENT_BITS {
        quotient <<= 1;
        if number >= divisor {
            number.subtract(&divisor);
            quotient |= 1;
        }
        number.shift_left(1);
    }
    Some(rounded(negative, quotient, !number.is_zero(), difference - QUOTIENT_BITS + 1))
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Extended> {
    const KEPT_DIGITS: usize = 31;
    let (digits, fraction_digits, rest) = split_digits(text, u8::is_ascii_hexdigit)?;
    let exponent = parse_exponent(rest, b'p')? - 4 * fraction_digits as i64;
    let leading_zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[leading_zeros..];
    let (kept, left_out) = digits.split_at(digits.len().min(KEPT_DIGITS));
    let value = kept.iter().fold(0u128, |value, &digit| {
        value << 4 | u128::from((digit as char).to_digit(16).expect("only hex digits were taken"))
    });
    let rest = left_out.iter().any(|&digit| digit != b'0');
    Some(rounded(negative, value, rest, exponent + 4 * left_out.len() as i64))
}

impl fmt::Display for Extended {
    /// `%.17Lf` without trailing zeros, and without the sign of a zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, mantissa, exponent) = match *self {
            Extended::Infinite { negative } => return f.write_str(if negative { "-inf" } else { "inf" }),
            Extended::Finite { negative, mantissa, exponent } => (negative, mantissa, exponent),
        };
        let sign = if negative { "-" } else { "" };
        if exponent >= 0 {
            let mut whole = Natural::new(mantissa);
            whole.shift_left(exponent as usize);
            return write!(f, "{sign}{}", whole.digits());
        }
        let one = 10u128.pow(FRACTION_DIGITS);
        let scaled = u128::from(mantissa) * one;
        // Fewer than 122 bits: shifted by more, less than a half is left.
        let shift = exponent.unsigned_abs();
        let units = if shift > 126 {
            0
        } else {
            let (kept, low, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1u128 << (shift - 1));
            kept + u128::from(low > half || (low == half && kept & 1 == 1))
        };
        let (whole, fraction) = (units / one, units % one);
        if fraction != 0 {
            let fraction = format!("{fraction:017}");
            write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
        } else if whole != 0 {
            write!(f, "{sign}{whole}")
        } else {
            f.write_str("0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Extended {
        Extended::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn known_bit_patterns() {
        // As glibc's strtold has them on x86-64.
        for (text, mantissa, exponent) in [
            ("1", 0x8000_0000_0000_0000, -63),
            ("0.1", 0xcccc_cccc_cccc_cccd, -67),
            ("3.3", 0xd333_3333_3333_3333, -62),
            ("1e22", 0x8786_7832_6eac_9000, 10),
            ("0x1.8p1", 0xc000_0000_0000_0000, -62),
            ("18446744073709551615", u64::MAX, 0),
            // A tie goes to the even mantissa.
            ("18446744073709551617", 1 << 63, 1),
            ("36893488147419103233", 1 << 63, 2),
        ] {
            assert_eq!(number(text), Extended::Finite { negative: false, mantissa, exponent }, "{text}");
        }
    }

    #[test]
    fn the_range_ends_where_the_format_ends() {
        assert!(Extended::parse(b"1.18973149535723176502e4932").is_some());
        assert_eq!(Extended::parse(b"1.18973149535723176509e4932"), None);
        assert!(Extended::parse(b"3.6451995318824746026e-4951").is_some());
        assert_eq!(Extended::parse(b"1.8e-4951"), None);
        assert_eq!(number("0e99999999999999999999"), Extended::ZERO);
        let largest = number("1.18973149535723176502e4932");
        assert_eq!(largest.add(largest), None);
        assert!(largest.to_string().starts_with("118973149535723176502126385303"));
        assert_eq!(largest.to_string().len(), 4933);
    }

    #[test]
    fn texts_that_are_no_numbers() {
        for text in ["", "-", "+", ".", "e5", "1e", "1e+", "0x", "0xg", "0x1p", "1 ", " 1", "--1", "1.2.3", "nan", "1f"]
        {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["1.", ".5", "+1", "0X.8P+1", "1E-2", "INF", "-infinity", "00012"] {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert!(Extended::parse(&[b'1'; Extended::TEXT_BYTES_MAX]).is_none(), "too large");
        assert!(Extended::parse(&[b'0'; Extended::TEXT_BYTES_MAX]).is_some());
        assert!(Extended::parse(&[b'0'; Extended::TEXT_BYTES_MAX + 1]).is_none());
    }

    proptest! {
        #[test]
        fn integers_are_exact(a in any::<i64>(), b in any::<i64>()) {
            let sum = number(&a.to_string()).add(number(&b.to_string())).unwrap();
            let exact = i128::from(a) + i128::from(b);
            if exact.unsigned_abs() <= u128::from(u64::MAX) {
                prop_assert_eq!(sum.to_string(), exact.to_string());
            }
        }

        #[test]
        fn decimals_below_one_come_back(digits in "[0-9]{1,16}[1-9]") {
            // 17 digits behind the point need 57 bits, of which there are 64.
            let text = format!("0.{digits}");
            prop_assert_eq!(number(&text).to_string(), text);
        }

        #[test]
        fn nothing_panics(text in "[-+]?(0x)?[0-9a-f.]{0,40}([ep][-+]?[0-9]{1,5})?", other in "[0-9.]{1,40}(e-?[0-9]{1,4})?") {
            if let (Some(a), Some(b)) = (Extended::parse(text.as_bytes()), Extended::parse(other.as_bytes())) {
                prop_assert_eq!(a.add(b), b.add(a));
                if let Some(sum) = a.add(b) {
                    let _ = sum.to_string();
                }
            }
        }
    }
}
