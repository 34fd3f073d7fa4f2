//! Numbers as `printf` writes them with `%.14g`: so many digits at most, and an exponent where that is shorter.

use std::io::Write;

/// Sign, digits, point, zeros after it, exponent; rounded up.
const TEXT_BYTES: usize = 40;

/// A number's text, without an allocation.
pub(super) struct Digits {
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl Digits {
    /// `value` is finite; `precision` is from 1 to 17.
    pub(super) fn new(value: f64, precision: usize) -> Self {
        let mut text = Digits { bytes: [0; TEXT_BYTES], len: 0 };
        if value.is_sign_negative() {
            text.push(b"-");
        }
        let value = value.abs();
        if value.fract() == 0.0 && value < 1e15 {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(value as u64);
            if digits.len() <= precision {
                text.push(digits.as_bytes());
                return text;
            }
        }
        let mut scientific = [0; TEXT_BYTES];
        let mut rest = &mut scientific[..];
        write!(rest, "{value:.*e}", precision - 1).expect("17 digits and an exponent fit");
        let unused = rest.len();
        let written = std::str::from_utf8(&scientific[..TEXT_BYTES - unused]).expect("ASCII");
        let (mantissa, exponent) = written.split_once('e').expect("scientific notation has an exponent");
        let exponent: i32 = exponent.parse().expect("an exponent is a number");
        let mut digits = [0; 20];
        let mut count = 0;
        for byte in mantissa.bytes().filter(u8::is_ascii_digit) {
            digits[count] = byte;
            count += 1;
        }
        while count > 1 && digits[count - 1] == b'0' {
            count -= 1;
        }
        text.lay_out(&digits[..count], exponent, precision as i32);
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The first of `digits` stands for itself times ten to `exponent`.
    fn lay_out(&mut self, digits: &[u8], exponent: i32, precision: i32) {
        if !(-4..precision).contains(&exponent) {
            self.push(&digits[..1]);
            self.fraction(&digits[1..]);
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                self.push(b"0");
            }
            let mut buffer = itoa::Buffer::new();
            self.push(buffer.format(exponent.abs()).as_bytes());
        } else if exponent < 0 {
            self.push(b"0.");
            for _ in 1..-exponent {
                self.push(b"0");
            }
            self.push(digits);
        } else {
            let whole = exponent as usize + 1;
            if let Some(zeros) = whole.checked_sub(digits.len()) {
                self.push(digits);
                for _ in 0..zeros {
                    self.push(b"0");
                }
            } else {
                self.push(&digits[..whole]);
                self.fraction(&digits[whole..]);
            }
        }
    }

    fn fraction(&mut self, digits: &[u8]) {
        if !digits.is_empty() {
            self.push(b".");
            self.push(digits);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_printf() {
        for (value, precision, expected) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (-2.5, 14, "-2.5"),
            (1e13, 14, "10000000000000"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (99_999_999_999_999.5, 14, "1e+14"),
            (9_999_999_999_999.95, 14, "9999999999999.9"),
            (123_456.789, 14, "123456.789"),
            (123_456_789_012_345_678.0, 14, "1.2345678901235e+17"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (5e-324, 14, "4.9406564584125e-324"),
            (f64::MAX, 14, "1.7976931348623e+308"),
            (150.0, 1, "2e+02"),
            (9.5, 1, "1e+01"),
            (9.0, 1, "9"),
            (10.0, 1, "1e+01"),
            (0.1, 17, "0.10000000000000001"),
        ] {
            let digits = Digits::new(value, precision);
            assert_eq!(std::str::from_utf8(digits.as_bytes()).unwrap(), expected);
        }
    }
}
