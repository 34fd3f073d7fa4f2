//! Doubles as Redis 7.2 writes them.

use std::fmt::Write;

/// The longest text: a sign, seventeen digits, a point, and an exponent of three digits; or six zeros before the digits.
pub const DOUBLE_TEXT_BYTES_MAX: usize = 32;

/// A double's text: the shortest digits that read back to the same double, whole numbers up to half of the integers' range
/// without exponent, others with one where it is shorter. `inf`, `-inf`, `nan`, `-0`.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; DOUBLE_TEXT_BYTES_MAX],
    length: usize,
}

impl DoubleText {
    /// Writes a double.
    pub fn new(value: f64) -> Self {
        let mut text = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES_MAX], length: 0 };
        if value.is_nan() {
            text.push(b"nan");
        } else if value.is_infinite() {
            text.push(if value < 0.0 { b"-inf" } else { b"inf" });
        } else if value == 0.0 {
            text.push(if value.is_sign_negative() { b"-0" } else { b"0" });
        } else if value.abs() <= (i64::MAX / 2) as f64 && value.trunc() == value {
            text.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            text.shortest(value);
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn zeros(&mut self, count: i32) {
        (0..count).for_each(|_| self.push(b"0"));
    }

    /// A finite double other than zero.
    fn shortest(&mut self, value: f64) {
        // The standard library finds the shortest digits; it gives them as `d.ddde-7`.
        let mut scientific = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES_MAX], length: 0 };
        write!(scientific, "{:e}", value.abs()).expect("seventeen digits and an exponent fit");
        let text = std::str::from_utf8(scientific.as_bytes()).expect("digits are UTF-8");
        let (mantissa, exponent) = text.split_once('e').expect("the format has an exponent");
        let exponent: i32 = exponent.parse().expect("the exponent is a number");
        let mut digits = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES_MAX], length: 0 };
        mantissa.split('.').for_each(|part| digits.push(part.as_bytes()));
        let digits = digits.as_bytes();

        if value < 0.0 {
            self.push(b"-");
        }
        let count = digits.len() as i32;
        // The value is the digits, read as one number, times ten to the power of this.
        let scale = exponent - (count - 1);
        if scale >= 0 && exponent.abs() < count + 7 {
            self.push(digits);
            self.zeros(scale);
        } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
            if exponent < 0 {
                self.push(b"0.");
                self.zeros(-exponent - 1);
                self.push(digits);
            } else {
                let (whole, fraction) = digits.split_at(exponent as usize + 1);
                self.push(whole);
                self.push(b".");
                self.push(fraction);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            self.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
        }
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if text.len() > DOUBLE_TEXT_BYTES_MAX - self.length {
            return Err(std::fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        String::from_utf8(DoubleText::new(value).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn writes_as_redis_does() {
        for (value, wanted) in [
            (3.0, "3"),
            (-3.5, "-3.5"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e17, "100000000000000000"),
            (4e18, "4000000000000000000"),
            (1e19, "1e+19"),
            (1e20, "1e+20"),
            (-1.5e20, "-1.5e+20"),
            (1.25e25, "1.25e+25"),
            (9007199254740993.0, "9007199254740992"),
            (12345678901234567890.0, "12345678901234567000"),
            (0.0001, "0.0001"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (0.000000123, "1.23e-7"),
            (0.00123456789, "0.00123456789"),
            (0.0000123456789, "1.23456789e-5"),
            (1e-300, "1e-300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.30000000000000004, "0.30000000000000004"),
            (123456.789, "123456.789"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(text(value), wanted);
        }
    }

    proptest! {
        #[test]
        fn reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            if !value.is_nan() {
                prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        #[test]
        fn reads_back_what_people_write(whole in -1_000_000i64..1_000_000, thousandths in 0..1000u32) {
            let wanted: f64 = format!("{whole}.{thousandths:03}").parse().unwrap();
            prop_assert_eq!(text(wanted).parse::<f64>().unwrap(), wanted);
            prop_assert!(!text(wanted).contains('e'));
        }
    }
}
