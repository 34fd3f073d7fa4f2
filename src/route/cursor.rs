//! The cursor of a SCAN over all shards.

use ringkeep_shards::ids::ShardId;

use super::slots::SHARD_COUNT_MAX;

/// Where a SCAN goes on. A cursor is a number below 2^53, so that clients may hold it in a double:
///
/// ```text
///   bit 52      43 42                                   0
///      +----------+-------------------------------------+
///      |  shard   |  position in the shard's hash order |
///      | 10 bits  |  43 bits                            |
///      +----------+-------------------------------------+
/// ```
///
/// Zero is the start, and as an answer the end: shard 0 hands out position 0 for neither. The shard's part does not depend on
/// how many shards there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanCursor {
    /// The shard being scanned.
    pub shard: ShardId,
    /// Where in it: below 2^[`ScanCursor::POSITION_BITS`]. What a shard makes of it is its own affair; zero is its start.
    pub position: u64,
}

/// The text is no cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidCursor;

impl InvalidCursor {
    /// What the client reads.
    pub const TEXT: &str = "ERR invalid cursor";
}

const CURSOR_BITS: u32 = 53;

const _: () = assert!(1u64 << (CURSOR_BITS - ScanCursor::POSITION_BITS) == SHARD_COUNT_MAX as u64);

impl ScanCursor {
    /// The width of a position within a shard.
    pub const POSITION_BITS: u32 = 43;

    /// The start of a scan; as an answer, its end.
    pub const START: ScanCursor = ScanCursor { shard: ShardId(0), position: 0 };

    /// Reads a cursor as leniently as Redis, where C's `strtoul` does it: a sign, an empty text and whatever follows a NUL are
    /// taken. `Ok(None)` is a number that no scan over so many shards hands out: nothing is found there, and the scan ends.
    pub fn parse(text: &[u8], shard_count: u16) -> Result<Option<ScanCursor>, InvalidCursor> {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let (negative, digits) = match text {
            [] => return Ok(Some(ScanCursor::START)),
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() {
            return Err(InvalidCursor);
        }
        let mut number: u64 = 0;
        for digit in digits {
            let value = digit.wrapping_sub(b'0');
            if value > 9 {
                return Err(InvalidCursor);
            }
            number = number.checked_mul(10).and_then(|ten| ten.checked_add(u64::from(value))).ok_or(InvalidCursor)?;
        }
        let number = if negative { number.wrapping_neg() } else { number };
        let shard = number >> Self::POSITION_BITS;
        let position = number & ((1 << Self::POSITION_BITS) - 1);
        Ok((shard < u64::from(shard_count)).then_some(ScanCursor { shard: ShardId(shard as u16), position }))
    }

    /// The number that the client gets.
    pub fn number(self) -> u64 {
        assert!(self.shard.0 < SHARD_COUNT_MAX && self.position >> Self::POSITION_BITS == 0, "not a cursor: {self:?}");
        u64::from(self.shard.0) << Self::POSITION_BITS | self.position
    }

    /// The cursor after a step that ended at `position` of this shard, where zero says that the shard is through.
    pub fn after_step(self, position: u64, shard_count: u16) -> ScanCursor {
        if position != 0 {
            ScanCursor { position, ..self }
        } else if self.shard.0 + 1 < shard_count {
            ScanCursor { shard: ShardId(self.shard.0 + 1), position: 0 }
        } else {
            ScanCursor::START
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_redis_reads() {
        let at = |shard, position| Ok(Some(ScanCursor { shard: ShardId(shard), position }));
        assert_eq!(ScanCursor::parse(b"0", 4), at(0, 0));
        assert_eq!(ScanCursor::parse(b"", 4), at(0, 0));
        assert_eq!(ScanCursor::parse(b"+17", 4), at(0, 17));
        assert_eq!(ScanCursor::parse(b"0017", 4), at(0, 17));
        assert_eq!(ScanCursor::parse(b"5\0rest", 4), at(0, 5));
        assert_eq!(ScanCursor::parse(b"8796093022209", 4), at(1, 1));
        assert_eq!(ScanCursor::parse(b"-1", 4), Ok(None));
        assert_eq!(ScanCursor::parse(b"18446744073709551615", 1024), Ok(None));
        assert_eq!(ScanCursor::parse(b"8796093022208", 1), Ok(None));
    }

    #[test]
    fn refuses_what_redis_refuses() {
        for text in ["abc", " 1", "1 ", "0x1", "1.0", "18446744073709551616", "-", "+", "--1"] {
            assert_eq!(ScanCursor::parse(text.as_bytes(), 4), Err(InvalidCursor), "{text:?}");
        }
    }

    #[test]
    fn a_scan_visits_every_shard_and_ends() {
        let mut cursor = ScanCursor::START;
        let mut seen = Vec::new();
        loop {
            seen.push((cursor.shard.0, cursor.position));
            let next = if cursor.position == 0 { 7 } else { 0 };
            cursor = cursor.after_step(next, 3);
            if cursor.number() == 0 {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (0, 7), (1, 0), (1, 7), (2, 0), (2, 7)]);
    }

    proptest! {
        #[test]
        fn comes_back_as_it_went(shard in 0..SHARD_COUNT_MAX, position in 0..1u64 << ScanCursor::POSITION_BITS) {
            let cursor = ScanCursor { shard: ShardId(shard), position };
            let number = cursor.number();
            prop_assert!(number < 1 << CURSOR_BITS);
            prop_assert_eq!(ScanCursor::parse(number.to_string().as_bytes(), SHARD_COUNT_MAX), Ok(Some(cursor)));
        }
    }
}
