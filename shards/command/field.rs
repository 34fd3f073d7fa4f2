//! One integer of BITFIELD: its width and sign, its bits in a string, its overflow.

use crate::command::failure::Failure;
use crate::keyspace::canonical_integer;

/// What happens to a number that a field has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// The low bits are kept.
    Wrap,
    /// The field's largest or smallest number is kept.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Overflow {
    /// Reads `WRAP`, `SAT` or `FAIL`.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(name: &[u8]) -> Result<Self, Failure> {
        let is = |kind: &str| name.eq_ignore_ascii_case(kind.as_bytes());
        if is("WRAP") {
            Ok(Overflow::Wrap)
        } else if is("SAT") {
            Ok(Overflow::Saturate)
        } else if is("FAIL") {
            Ok(Overflow::Fail)
        } else {
            Err(Failure::text("ERR Invalid OVERFLOW type specified"))
        }
    }
}

/// The type of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Whether it has a sign.
    pub signed: bool,
    /// Its width: 1 to 64 bits, 63 without a sign.
    pub bits: u32,
}

impl Field {
    /// Reads `i16`, `u8` and so on.
    ///
    /// # Errors
    /// If there is no such type.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        let bad = Failure::text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, bits) = match text {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return Err(bad),
        };
        let bits_max = if signed { 64 } else { 63 };
        match canonical_integer(bits) {
            Some(bits) if (1..=bits_max).contains(&bits) => Ok(Field { signed, bits: bits as u32 }),
            _ => Err(bad),
        }
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    /// How far the field's last bit is from the end of sixteen bytes that it begins `shift` bits into.
    fn below(self, shift: u32) -> u32 {
        128 - shift - self.bits
    }

    /// The field that begins `shift` bits into sixteen bytes (big-endian, as bits are numbered).
    pub fn read(self, bytes: u128, shift: u32) -> i64 {
        self.wrap((bytes >> self.below(shift)) as i128)
    }

    /// The sixteen bytes with another number in the field.
    pub fn write(self, bytes: u128, shift: u32, number: i64) -> u128 {
        let below = self.below(shift);
        bytes & !(self.mask() << below) | (number as u128 & self.mask()) << below
    }

    /// The number that the low bits of `number` are in this field.
    fn wrap(self, number: i128) -> i64 {
        let low = number as u128 & self.mask();
        let negative = self.signed && low >> (self.bits - 1) == 1;
        (if negative { low | !self.mask() } else { low }) as i64
    }

    /// What the field holds after a SET; none if it fails.
    pub fn set(self, number: i64, overflow: Overflow) -> Option<i64> {
        // Without a sign a negative number is a large one, as Redis has it.
        let number = if self.signed { i128::from(number) } else { i128::from(number as u64) };
        // So does a number whose distance from the field's largest does not fit in 64 bits: Redis takes it for too large.
        if self.bits < 64 && self.max() - number > i128::from(i64::MAX) && overflow == Overflow::Saturate {
            return Some(self.max() as i64);
        }
        self.fit(number, overflow)
    }

    /// What the field holds after an INCRBY; none if it fails.
    pub fn add(self, old: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fit(i128::from(old) + i128::from(increment), overflow)
    }

    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        if (self.min()..=self.max()).contains(&number) {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrap(number)),
            Overflow::Saturate => Some(number.clamp(self.min(), self.max()) as i64),
            Overflow::Fail => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            signed in any::<bool>(), bits in 1u32..=64, shift in 0u32..8, bytes in any::<u128>(), number in any::<i64>(),
        ) {
            let field = Field { signed, bits: if signed { bits } else { bits.min(63) } };
            let kept = field.set(number, Overflow::Wrap).unwrap();
            let written = field.write(bytes, shift, kept);
            prop_assert_eq!(field.read(written, shift), kept);
            let outside = !(field.mask() << field.below(shift));
            prop_assert_eq!(written & outside, bytes & outside);
            prop_assert!((field.min()..=field.max()).contains(&i128::from(kept)));
            prop_assert_eq!((kept as u128 ^ number as u128) & field.mask() & u128::from(u64::MAX), 0);
            let saturated = i128::from(field.add(kept, number, Overflow::Saturate).unwrap());
            let sum = i128::from(kept) + i128::from(number);
            prop_assert_eq!(saturated, sum.clamp(field.min(), field.max()));
            prop_assert_eq!(field.add(kept, number, Overflow::Fail).is_some(), saturated == sum);
        }
    }
}
