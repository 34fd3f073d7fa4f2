//! The place of a bit in a string. Bit 0 is the first byte's highest one.

use crate::command::failure::Failure;
use crate::keyspace::canonical_integer;

/// The place of a bit, within the longest string that there may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BitOffset(pub u64);

impl BitOffset {
    /// Reads an offset.
    ///
    /// # Errors
    /// If it is no integer, or lies outside of a string of `string_bytes_max`.
    pub fn parse(text: &[u8], string_bytes_max: usize) -> Result<Self, Failure> {
        Self::within(canonical_integer(text), string_bytes_max)
    }

    /// Reads an offset that, with `#` in front, counts fields of so many bits.
    ///
    /// # Errors
    /// As [`BitOffset::parse`].
    pub fn parse_field(text: &[u8], field_bits: u32, string_bytes_max: usize) -> Result<Self, Failure> {
        match text {
            [b'#', number @ ..] => {
                let fields = canonical_integer(number);
                Self::within(fields.and_then(|fields| fields.checked_mul(i64::from(field_bits))), string_bytes_max)
            }
            _ => Self::parse(text, string_bytes_max),
        }
    }

    fn within(offset: Option<i64>, string_bytes_max: usize) -> Result<Self, Failure> {
        offset
            .and_then(|offset| u64::try_from(offset).ok())
            .filter(|offset| offset / 8 < string_bytes_max as u64)
            .map(BitOffset)
            .ok_or(Failure::text("ERR bit offset is not an integer or out of range"))
    }

    /// The byte that the bit is in.
    pub fn byte(self) -> usize {
        (self.0 / 8) as usize
    }

    /// The bit in its byte.
    pub fn mask(self) -> u8 {
        0x80 >> (self.0 % 8)
    }
}
