//! Numbers as Redis writes them when a script passes them to a command: integers as integers, others with the fewest digits that
//! read back to the same value.

use std::io::Write;

/// The longest text: sign, 17 digits, point, exponent of three digits with its sign, or seven zeros; rounded up.
const TEXT_BYTES: usize = 40;

/// A number's text, without an allocation.
pub(super) struct NumberText {
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl NumberText {
    /// Writes a number as Redis 7.2 passes it to a command.
    pub(super) fn new(value: f64) -> Self {
        let mut text = NumberText { bytes: [0; TEXT_BYTES], len: 0 };
        // Halves of the range, as Redis has it: beyond them every double is an integer, and is written by its shortest digits.
        const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
        if (-INTEGER_MAX..=INTEGER_MAX).contains(&value) && value.fract() == 0.0 {
            let mut buffer = itoa::Buffer::new();
            text.push(buffer.format(value as i64).as_bytes());
        } else {
            text.shortest(value);
        }
        text
    }

    /// Writes a double as Redis 7.2 replies with it: with the fewest digits, `inf`, `-inf`, `nan`.
    pub(super) fn shortest_of(value: f64) -> Self {
        let mut text = NumberText { bytes: [0; TEXT_BYTES], len: 0 };
        text.shortest(if value.is_nan() { f64::NAN } else { value });
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    fn shortest(&mut self, value: f64) {
        if value.is_sign_negative() {
            self.push(b"-");
        }
        if value.is_nan() {
            return self.push(b"nan");
        }
        if value.is_infinite() {
            return self.push(b"inf");
        }
        // Rust's own formatting finds the shortest digits; how they are laid out is Redis's.
        let mut scientific = [0; TEXT_BYTES];
        let mut rest = &mut scientific[..];
        write!(rest, "{:e}", value.abs()).expect("a double has at most 17 digits");
        let unused = rest.len();
        let written = &scientific[..TEXT_BYTES - unused];
        let mark = written.iter().position(|&byte| byte == b'e').expect("scientific notation has an exponent");
        let exponent: i32 =
            std::str::from_utf8(&written[mark + 1..]).expect("ASCII").parse().expect("an exponent is a number");
        let mut digits = [0; 20];
        let mut count = 0;
        for &byte in written[..mark].iter().filter(|byte| byte.is_ascii_digit()) {
            digits[count] = byte;
            count += 1;
        }
        let digits = &digits[..count];
        // value = digits * 10^power
        let power = exponent - (count as i32 - 1);
        if power >= 0 && exponent < count as i32 + 7 {
            self.push(digits);
            self.zeros(power as usize);
        } else if power < 0 && (power > -7 || exponent.abs() < 4) {
            let whole = count as i32 + power;
            if whole <= 0 {
                self.push(b"0.");
                self.zeros(-whole as usize);
                self.push(digits);
            } else {
                self.push(&digits[..whole as usize]);
                self.push(b".");
                self.push(&digits[whole as usize..]);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            let mut buffer = itoa::Buffer::new();
            self.push(buffer.format(exponent.abs()).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(NumberText::new(value).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn integers_are_written_as_integers() {
        assert_eq!(text(3.0), "3");
        assert_eq!(text(-3.0), "-3");
        assert_eq!(text(-0.0), "0");
        assert_eq!(text(9007199254740992.0), "9007199254740992");
        assert_eq!(text(1e17), "100000000000000000");
        assert_eq!(text(1e18), "1000000000000000000");
    }

    #[test]
    fn others_have_the_fewest_digits() {
        for (value, expected) in [
            (0.1, "0.1"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e300, "1e+300"),
            (1.25e-7, "1.25e-7"),
            (0.000001, "0.000001"),
            (1e-7, "1e-7"),
            (12345678901234567890.0, "12345678901234567000"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut state = 88172645463325252_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(text(value).parse::<f64>().unwrap(), value);
            }
        }
    }
}
