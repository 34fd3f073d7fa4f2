//! SCAN's cursors: which shard, and where in it.
//!
//! ```text
//! cursor   := position * 1024 + shard        below 2^53: every client's numbers hold it
//! position := the top 43 bits of a key's hash (see `keyspace::Table::scan`)
//! ```
//!
//! Nothing is kept for a cursor: it holds on any connection, after a restart and under a new leader. 0 starts and ends.

use crate::command::failure::Failure;
use crate::ids::ShardId;
use crate::keyspace::SCAN_POSITIONS;

/// How many shards a cursor can tell apart.
pub const CURSOR_SHARDS_MAX: u64 = 1 << 10;

const _: () = assert!(SCAN_POSITIONS * CURSOR_SHARDS_MAX <= 1 << 53);

/// A place in the walk through the keys of all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The shard that goes on. A cursor that nobody was given may name one that does not exist.
    pub shard: ShardId,
    /// Where in that shard, as [`crate::keyspace::Keyspace::scan`] counts; a cursor that nobody was given may lie beyond all.
    pub position: u64,
}

impl Cursor {
    /// Where a walk starts.
    pub const START: Cursor = Cursor { shard: ShardId(0), position: 0 };

    /// Reads a cursor as Redis does (`strtoul`): an optional sign, digits, nothing else; nothing at all is 0, and what follows
    /// a NUL is not looked at.
    ///
    /// # Errors
    /// `ERR invalid cursor`.
    pub fn decode(bytes: &[u8]) -> Result<Cursor, Failure> {
        const INVALID: Failure = Failure::text("ERR invalid cursor");
        let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        let (negative, digits) = match bytes {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() && !bytes.is_empty() {
            return Err(INVALID);
        }
        let mut number: u64 = 0;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return Err(INVALID);
            }
            number = number.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit - b'0'))).ok_or(INVALID)?;
        }
        if negative {
            number = number.wrapping_neg();
        }
        Ok(Cursor { shard: ShardId((number % CURSOR_SHARDS_MAX) as u16), position: number / CURSOR_SHARDS_MAX })
    }

    /// The number that a client gets.
    pub fn encode(self) -> u64 {
        assert!(self.position < SCAN_POSITIONS && u64::from(self.shard.0) < CURSOR_SHARDS_MAX);
        self.position * CURSOR_SHARDS_MAX + u64::from(self.shard.0)
    }

    /// Whether it is a place in a node of that many shards; a walk from elsewhere is at its end.
    pub fn exists(self, shards: u16) -> bool {
        self.shard.0 < shards && self.position < SCAN_POSITIONS
    }

    /// Where the walk goes on after `shard` was walked up to `reached` (none: to its end); none at the end of the walk. With
    /// `single` the walk is through that shard alone.
    pub fn after(shard: ShardId, reached: Option<u64>, shards: u16, single: bool) -> Option<Cursor> {
        match reached {
            Some(position) => Some(Cursor { shard, position }),
            None if !single && shard.0 + 1 < shards => Some(Cursor { shard: ShardId(shard.0 + 1), position: 0 }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_reads_back_and_fits_a_double() {
        for shard in [0, 1, 1023] {
            for position in [0, 1, SCAN_POSITIONS / 3, SCAN_POSITIONS - 1] {
                let cursor = Cursor { shard: ShardId(shard), position };
                let number = cursor.encode();
                assert!(number < 1 << 53);
                assert_eq!(Cursor::decode(number.to_string().as_bytes()), Ok(cursor));
            }
        }
        assert_eq!(Cursor::START.encode(), 0);
    }

    #[test]
    fn foreign_cursors_are_read_as_redis_reads_them() {
        for start in ["", "0", "+0", "-0", "000", "\0", "0\0x"] {
            assert_eq!(Cursor::decode(start.as_bytes()), Ok(Cursor::START), "{start}");
        }
        for bad in ["x", "1x", " 1", "1 ", "-", "+", "--1", "1.0", "18446744073709551616"] {
            assert_eq!(Cursor::decode(bad.as_bytes()), Err(Failure::text("ERR invalid cursor")), "{bad}");
        }
        for elsewhere in ["-1", "18446744073709551615", "9007199254740992", "2"] {
            let cursor = Cursor::decode(elsewhere.as_bytes()).unwrap();
            assert!(!cursor.exists(2), "{elsewhere}");
        }
        assert!(Cursor::decode(b"1").unwrap().exists(2));
    }

    #[test]
    fn a_walk_goes_from_shard_to_shard_unless_it_is_of_one() {
        let at = |shard, position| Some(Cursor { shard: ShardId(shard), position });
        assert_eq!(Cursor::after(ShardId(1), Some(9), 3, false), at(1, 9));
        assert_eq!(Cursor::after(ShardId(1), None, 3, false), at(2, 0));
        assert_eq!(Cursor::after(ShardId(2), None, 3, false), None);
        assert_eq!(Cursor::after(ShardId(1), Some(9), 3, true), at(1, 9));
        assert_eq!(Cursor::after(ShardId(1), None, 3, true), None);
    }
}
