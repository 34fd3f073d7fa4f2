//! `math.random`: the generator of Redis's scripts, the 48-bit one of POSIX, so that a sequence after `math.randomseed` is the same
//! everywhere.

/// The state of the generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Random(u64);

const MASK: u64 = (1 << 48) - 1;

impl Default for Random {
    /// The state that Redis starts with.
    fn default() -> Self {
        Random(0x1234_ABCD_330E)
    }
}

impl Random {
    /// The state after `math.randomseed(seed)`.
    pub(super) fn seeded(seed: i32) -> Self {
        Random((u64::from(seed as u32) << 16 | 0x330E) & MASK)
    }

    /// The next number, from 0 up to and including 1, in steps of 2^-31.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        let integer = (self.0 >> 17) as i32;
        f64::from(integer % i32::MAX) / f64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequences_are_those_of_redis() {
        let mut random = Random::default();
        assert_eq!([random.next(), random.next()], [0.396_464_773_638_390_4, 0.840_485_369_712_340_3]);
        let mut random = Random::seeded(0);
        assert_eq!([random.next(), random.next()], [0.1708280361121651, 0.749_901_980_510_867_2]);
    }
}
