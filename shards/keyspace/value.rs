//! What a key holds. Strings for now; each data type of its own file joins this enum.

use crate::ids::SegmentId;
use crate::keyspace::large::LargeString;
use crate::keyspace::text::INLINE_BYTES_MAX;
use bytes::Bytes;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// A value in 24 bytes.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string that is a canonical decimal integer, as a number.
    Int(i64),
    /// A short string, inside.
    Inline {
        /// Its length in bytes.
        len: u8,
        /// Its bytes, then zeros.
        data: [u8; INLINE_BYTES_MAX],
    },
    /// A string that nothing has changed in place.
    Heap(Box<[u8]>),
    /// A string that APPEND, SETRANGE or SETBIT works on: it has room to grow.
    Buffer(Box<Vec<u8>>),
    /// A large string, whose bytes are in the log; shared with inverses and versions.
    Large(Rc<LargeString>),
}

const _: () = assert!(size_of::<Value>() == 24);

/// The bytes of a string, wherever they were.
pub enum StringBytes<'a> {
    /// Inside the value, or in a mapped segment.
    Borrowed(&'a [u8]),
    /// An integer's digits.
    Digits(DigitBuffer),
    /// In memory, shared.
    Shared(Bytes),
}

/// The decimal digits of an integer.
pub struct DigitBuffer {
    len: u8,
    data: [u8; 20],
}

impl DigitBuffer {
    fn new(number: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        let mut data = [0; 20];
        data[..digits.len()].copy_from_slice(digits);
        DigitBuffer { len: digits.len() as u8, data }
    }

    fn part(mut self, part: Range<usize>) -> Self {
        let len = part.len();
        self.data[..usize::from(self.len)].copy_within(part, 0);
        DigitBuffer { len: len as u8, data: self.data }
    }
}

impl Deref for StringBytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            StringBytes::Borrowed(bytes) => bytes,
            StringBytes::Digits(digits) => &digits.data[..usize::from(digits.len)],
            StringBytes::Shared(bytes) => bytes,
        }
    }
}

/// A range of a segment that must be brought into memory before it can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColdRange {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from its start.
    pub offset: u64,
    /// Length in bytes.
    pub len: usize,
}

/// The shard's segments as bytes; the shell maps them.
pub trait Segments {
    /// The bytes of a range, if reading them does not wait for the disk; none if it would (the caller then waits for the
    /// shell to bring the range in).
    fn resident(&self, range: ColdRange) -> Option<&[u8]>;
}

impl Value {
    /// The smallest form of a string: an integer where the digits are canonical, inline where it fits, else a box.
    /// Large strings are made by [`Value::large`].
    #[inline]
    pub fn string(bytes: &[u8]) -> Self {
        if let Some(number) = canonical_integer(bytes) {
            return Value::Int(number);
        }
        Value::text(bytes)
    }

    /// A string that stays one although it may spell an integer.
    #[inline]
    pub fn text(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE_BYTES_MAX {
            let mut data = [0; INLINE_BYTES_MAX];
            data[..bytes.len()].copy_from_slice(bytes);
            Value::Inline { len: bytes.len() as u8, data }
        } else {
            Value::Heap(bytes.into())
        }
    }

    /// A string that goes to the log and will be referred to there.
    pub fn large(bytes: Bytes) -> Self {
        Value::Large(LargeString::in_memory(bytes))
    }

    /// The string's bytes, or the range that must be brought in first.
    #[inline]
    pub fn bytes<'a>(&'a self, segments: &'a dyn Segments) -> Result<StringBytes<'a>, ColdRange> {
        Ok(match self {
            Value::Int(number) => StringBytes::Digits(DigitBuffer::new(*number)),
            Value::Inline { len, data } => StringBytes::Borrowed(&data[..usize::from(*len)]),
            Value::Heap(bytes) => StringBytes::Borrowed(bytes),
            Value::Buffer(bytes) => StringBytes::Borrowed(bytes),
            Value::Large(string) => match string.memory() {
                Some(bytes) => StringBytes::Shared(bytes),
                None => {
                    let place = string.place().expect("a large string is in memory or has a place");
                    let range = ColdRange { segment: place.segment, offset: place.offset, len: string.len() };
                    StringBytes::Borrowed(segments.resident(range).ok_or(range)?)
                }
            },
        })
    }

    /// A part of the string, which has it, or the range (no longer than the part) that must be brought in first.
    pub fn part<'a>(&'a self, part: Range<usize>, segments: &'a dyn Segments) -> Result<StringBytes<'a>, ColdRange> {
        if let Value::Large(string) = self
            && string.memory().is_none()
        {
            assert!(part.start <= part.end && part.end <= string.len(), "a part lies within its string");
            if part.is_empty() {
                return Ok(StringBytes::Borrowed(&[]));
            }
            let place = string.place().expect("a large string is in memory or has a place");
            let offset = place.offset + part.start as u64;
            let range = ColdRange { segment: place.segment, offset, len: part.len() };
            return Ok(StringBytes::Borrowed(segments.resident(range).ok_or(range)?));
        }
        Ok(match self.bytes(segments)? {
            StringBytes::Borrowed(bytes) => StringBytes::Borrowed(&bytes[part]),
            StringBytes::Digits(digits) => StringBytes::Digits(digits.part(part)),
            StringBytes::Shared(bytes) => StringBytes::Shared(bytes.slice(part)),
        })
    }

    /// The bytes of a string that is in memory alone, without a copy where that can be.
    ///
    /// # Panics
    /// If it is a large string: that shares its bytes.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Value::Int(number) => Bytes::copy_from_slice(&StringBytes::Digits(DigitBuffer::new(number))),
            Value::Inline { len, data } => Bytes::copy_from_slice(&data[..usize::from(len)]),
            Value::Heap(bytes) => Bytes::from(bytes),
            Value::Buffer(bytes) => Bytes::from(*bytes),
            Value::Large(string) => panic!("{string:?} shares its bytes"),
        }
    }

    /// The buffer of a string that was written to in place.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Value::Buffer(buffer) => buffer,
            other => panic!("a string that was written to in place is a buffer: {other:?}"),
        }
    }

    /// The string's length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Value::Int(number) => usize::from(DigitBuffer::new(*number).len),
            Value::Inline { len, .. } => usize::from(*len),
            Value::Heap(bytes) => bytes.len(),
            Value::Buffer(bytes) => bytes.len(),
            Value::Large(string) => string.len(),
        }
    }

    /// Whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds in memory outside of its own 24 bytes, in bytes.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Int(_) | Value::Inline { .. } => 0,
            Value::Heap(bytes) => bytes.len(),
            Value::Buffer(bytes) => bytes.capacity() + size_of::<Vec<u8>>(),
            // The copy in memory is counted by the shard's list of warm strings.
            Value::Large(_) => size_of::<LargeString>() + 16,
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::Int(_) => "int",
            // Redis embeds strings of up to 44 bytes that nothing has changed in place.
            Value::Inline { .. } => "embstr",
            Value::Heap(bytes) if bytes.len() <= 44 => "embstr",
            Value::Heap(_) | Value::Buffer(_) | Value::Large(_) => "raw",
        }
    }

    /// TYPE's word.
    pub fn type_name(&self) -> &'static str {
        "string"
    }
}

/// The integer that `bytes` spell exactly as it would be printed: no sign but a minus, no leading zeros, within 64 bits.
#[inline]
pub fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct None_;

    impl Segments for None_ {
        fn resident(&self, _: ColdRange) -> Option<&[u8]> {
            None
        }
    }

    #[test]
    fn only_canonical_integers_are_numbers() {
        for yes in ["0", "7", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(canonical_integer(yes.as_bytes()).map(|n| n.to_string()).as_deref(), Some(yes));
        }
        for no in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1e3"] {
            assert_eq!(canonical_integer(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn every_form_reads_back() {
        for len in [0, 1, 22, 23, 44, 45, 1000] {
            let bytes = vec![b'x'; len];
            let value = Value::string(&bytes);
            assert_eq!(value.len(), len);
            assert_eq!(&*value.bytes(&None_).unwrap(), &bytes[..]);
        }
        let value = Value::string(b"-12");
        assert_eq!((value.len(), value.encoding()), (3, "int"));
        assert_eq!(&*value.part(1..3, &None_).unwrap(), b"12");
        assert_eq!(&*value.part(3..3, &None_).unwrap(), b"");
        assert_eq!(&*value.bytes(&None_).unwrap(), b"-12");
        assert_eq!(&*Value::large(Bytes::from_static(b"abc")).bytes(&None_).unwrap(), b"abc");
    }
}
