//! Natural numbers of any size, for exact decimal conversions.

use std::cmp::Ordering;

/// Decimal digits that one word takes at a time.
const DIGITS_PER_WORD: usize = 19;

/// A natural number: 64-bit words, the lowest first, without zeros at the top.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Natural(Vec<u64>);

impl Natural {
    /// A small number.
    pub fn new(number: u64) -> Self {
        Natural(if number == 0 { Vec::new() } else { vec![number] })
    }

    /// Ten to a power.
    pub fn power_of_ten(exponent: usize) -> Self {
        let mut power = Natural::new(1);
        power.multiply_by_power_of_ten(exponent);
        power
    }

    /// The number that decimal digits spell.
    pub fn from_digits(digits: &[u8]) -> Self {
        let mut number = Natural::default();
        for chunk in digits.chunks(DIGITS_PER_WORD) {
            let word = chunk.iter().fold(0, |word, digit| word * 10 + u64::from(digit - b'0'));
            number.multiply_and_add(10u64.pow(chunk.len() as u32), word);
        }
        number
    }

    /// Its decimal digits; `0` has one.
    pub fn digits(mut self) -> String {
        let mut words = Vec::new();
        while !self.0.is_empty() {
            words.push(self.divide(10u64.pow(DIGITS_PER_WORD as u32)));
        }
        let mut digits = words.pop().unwrap_or(0).to_string();
        for word in words.iter().rev() {
            digits.push_str(&format!("{word:019}"));
        }
        digits
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of its bits, without zeros at the top.
    pub fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 64 - top.leading_zeros() as usize)
    }

    /// Its highest 128 bits, how many bits are below them, and whether any of those is 1.
    pub fn top(&self) -> (u128, usize, bool) {
        let below = self.bits().saturating_sub(128);
        let (word, bit) = (below / 64, below % 64);
        let at = |index: usize| self.0.get(index).copied().unwrap_or(0);
        let mut top = u128::from(at(word)) | u128::from(at(word + 1)) << 64;
        if bit != 0 {
            top = top >> bit | u128::from(at(word + 2)) << (128 - bit);
        }
        let rest = self.0[..word].iter().any(|&word| word != 0) || at(word) & ((1 << bit) - 1) != 0;
        (top, below, rest)
    }

    /// Multiplies it by ten to a power.
    pub fn multiply_by_power_of_ten(&mut self, exponent: usize) {
        for _ in 0..exponent / DIGITS_PER_WORD {
            self.multiply_and_add(10u64.pow(DIGITS_PER_WORD as u32), 0);
        }
        self.multiply_and_add(10u64.pow((exponent % DIGITS_PER_WORD) as u32), 0);
    }

    /// Multiplies it by two to a power.
    pub fn shift_left(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        let bit = bits % 64;
        if bit != 0 {
            let mut carry = 0;
            for word in &mut self.0 {
                (*word, carry) = (*word << bit | carry, *word >> (64 - bit));
            }
            if carry != 0 {
                self.0.push(carry);
            }
        }
        self.0.splice(0..0, std::iter::repeat_n(0, bits / 64));
    }

    /// Takes `other` off, which is not larger.
    pub fn subtract(&mut self, other: &Natural) {
        let mut borrow = false;
        for (index, word) in self.0.iter_mut().enumerate() {
            let taken = other.0.get(index).copied().unwrap_or(0);
            let (difference, first) = word.overflowing_sub(taken);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *word = difference;
            borrow = first || second;
        }
        assert!(!borrow, "a natural number stays one");
        self.trim();
    }

    fn multiply_and_add(&mut self, factor: u64, summand: u64) {
        let mut carry = u128::from(summand);
        for word in &mut self.0 {
            carry += u128::from(*word) * u128::from(factor);
            *word = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    /// Divides it; the remainder.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0;
        for word in self.0.iter_mut().rev() {
            let dividend = u128::from(remainder) << 64 | u128::from(*word);
            *word = (dividend / u128::from(divisor)) as u64;
            remainder = (dividend % u128::from(divisor)) as u64;
        }
        self.trim();
        remainder
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_read_back(digits in "[1-9][0-9]{0,200}") {
            prop_assert_eq!(Natural::from_digits(digits.as_bytes()).digits(), digits);
        }

        #[test]
        fn arithmetic_is_that_of_128_bits(a in any::<u64>(), b in any::<u64>(), shift in 0usize..64) {
            let mut number = Natural::new(a);
            number.shift_left(shift);
            let expected = u128::from(a) << shift;
            prop_assert_eq!(number.top(), (expected, 0, false));
            prop_assert_eq!(number.bits(), 128 - expected.leading_zeros() as usize);
            let (small, large) = (Natural::new(a.min(b)), Natural::new(a.max(b)));
            prop_assert!(small <= large);
            let mut difference = large;
            difference.subtract(&small);
            prop_assert_eq!(difference, Natural::new(a.abs_diff(b)));
        }

        #[test]
        fn the_top_says_what_it_leaves_out(top in 1u64.., low in any::<u8>(), shift in 130usize..300) {
            let mut number = Natural::new(top);
            number.shift_left(shift);
            let (bits, below, rest) = number.top();
            prop_assert_eq!(below, number.bits() - 128);
            prop_assert!(!rest);
            prop_assert_eq!(bits, u128::from(top) << 64 << top.leading_zeros());
            let below_zero = number.clone();
            number.subtract(&Natural::new(u64::from(low)));
            prop_assert_eq!(number.top().2, low != 0);
            prop_assert_eq!(number == below_zero, low == 0);
        }
    }

    #[test]
    fn powers_of_ten() {
        assert_eq!(Natural::power_of_ten(0).digits(), "1");
        assert_eq!(Natural::power_of_ten(45).digits(), format!("1{}", "0".repeat(45)));
        assert_eq!(Natural::default().digits(), "0");
    }
}
