//! What FUNCTION DUMP makes and FUNCTION RESTORE reads: libraries in the form of an RDB file.
//!
//! ```text
//! payload := (245:u8 string)* version:u16le crc64:u64le          the checksum is of all before it
//! string  := length byte*  |  0xc3 length length byte*           the second: packed length, length, LZF
//! length  := 00xxxxxx | 01xxxxxx x:u8 | 0x80 x:u32be | 0x81 x:u64be
//! ```

use crate::crc64::crc64;
use crate::limits::LIBRARIES_BYTES_MAX;
use std::borrow::Cow;

/// The version that is written. Redis 7.0 reads no later one, and libraries have not changed since.
const VERSION: u16 = 10;
/// The latest version that is read: that of Redis 7.2.
const VERSION_MAX: u16 = 11;
/// A library follows.
const FUNCTION: u8 = 245;
const FOOTER_BYTES: usize = 10;
const PACKED: u8 = 0xc3;

/// Why bytes are no payload; in words for the client.
pub(crate) type PayloadError = &'static str;

const WRONG: PayloadError = "ERR DUMP payload version or checksum are wrong";
const NO_FUNCTION: PayloadError = "ERR given type is not a function";
const BROKEN: PayloadError = "ERR Failed loading library payload";

/// The payload with these texts.
pub(crate) fn dump<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.push(FUNCTION);
        write_length(&mut payload, code.len());
        payload.extend_from_slice(code);
    }
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc64(&payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// The texts in a payload.
pub(crate) fn restore(payload: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, PayloadError> {
    let (body, footer) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(WRONG)?;
    let (version, crc) = footer.split_first_chunk::<2>().expect("a footer has ten bytes");
    let sum = crc64(&payload[..payload.len() - crc.len()]);
    // A checksum of zeros says that there is none.
    let is_whole = crc == sum.to_le_bytes() || crc == [0; 8];
    if u16::from_le_bytes(*version) > VERSION_MAX || !is_whole {
        return Err(WRONG);
    }
    let (mut codes, mut rest, mut bytes) = (Vec::new(), body, 0);
    while let Some((kind, after)) = rest.split_first() {
        if *kind != FUNCTION {
            return Err(NO_FUNCTION);
        }
        let (code, after) = read_string(after).ok_or(BROKEN)?;
        bytes += code.len();
        if bytes > LIBRARIES_BYTES_MAX {
            return Err(super::functions::TOO_MUCH);
        }
        codes.push(code);
        rest = after;
    }
    Ok(codes)
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..64 => out.push(length as u8),
        64..16_384 => out.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes()),
        _ => {
            out.push(0x80);
            let length = u32::try_from(length).expect("libraries are bounded below 4 GiB");
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..0x40 => Some((usize::from(first), rest)),
        0x40..0x80 => {
            let (&second, rest) = rest.split_first()?;
            Some((usize::from(first & 0x3f) << 8 | usize::from(second), rest))
        }
        0x80 => rest.split_first_chunk().map(|(length, rest)| (u32::from_be_bytes(*length) as usize, rest)),
        0x81 => {
            let (length, rest) = rest.split_first_chunk()?;
            Some((usize::try_from(u64::from_be_bytes(*length)).ok()?, rest))
        }
        _ => None,
    }
}

fn read_string(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(packed) = bytes.strip_prefix(&[PACKED]) else {
        let (length, rest) = read_length(bytes)?;
        return rest.split_at_checked(length).map(|(string, rest)| (string.into(), rest));
    };
    let (packed_bytes, rest) = read_length(packed)?;
    let (bytes, rest) = read_length(rest)?;
    let (packed, rest) = rest.split_at_checked(packed_bytes)?;
    if bytes > LIBRARIES_BYTES_MAX {
        return None;
    }
    unpack(packed, bytes).map(|string| (string.into(), rest))
}

/// Unpacks LZF: runs of bytes as they are, and references to what was unpacked before.
///
/// ```text
/// 000nnnnn            n + 1 bytes follow
/// lllooooo oooooooo   l + 2 bytes from o + 1 bytes back; l is 1 to 6
/// 111ooooo l oooooooo l + 9 bytes, likewise
/// ```
fn unpack(packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = packed.iter();
    while let Some(&control) = rest.next() {
        if control < 0x20 {
            let literal = rest.as_slice().get(..usize::from(control) + 1)?;
            out.extend_from_slice(literal);
            rest = rest.as_slice()[literal.len()..].iter();
        } else {
            let mut length = usize::from(control >> 5);
            if length == 7 {
                length += usize::from(*rest.next()?);
            }
            let back = usize::from(control & 0x1f) << 8 | usize::from(*rest.next()?);
            let from = out.len().checked_sub(back + 1)?;
            // What is copied may be what is being written.
            for at in from..from + length + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > bytes {
            return None;
        }
    }
    (out.len() == bytes).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_are_those_of_redis() {
        assert_eq!(dump(std::iter::empty()), b"\n\x00]\x9b\\@\x0f\x7f\xa2\xda");
        let codes = [
            &b"#!lua name=other\nredis.register_function('b',function() end)"[..],
            b"#!lua name=lib\nredis.register_function('a',function() end)",
        ];
        let payload = b"\xf5<#!lua name=other\nredis.register_function('b',function() end)\xf5:#!lua name=lib\nredis.register_function('a',function() end)\n\x00\x9e7\xa0W\t\xe1\xf4/";
        assert_eq!(dump(codes.into_iter()), payload);
        assert_eq!(restore(payload).unwrap(), codes);
    }

    #[test]
    fn what_is_no_payload_is_refused_in_redis_words() {
        let sealed = |body: &[u8], version: u16| {
            let mut payload = [body, &version.to_le_bytes()].concat();
            payload.extend_from_slice(&crc64(&payload).to_le_bytes());
            payload
        };
        assert_eq!(restore(b"x"), Err(WRONG));
        assert_eq!(restore(b"\n\0xxxxxxxx"), Err(WRONG));
        assert_eq!(restore(&sealed(b"", 12)), Err(WRONG));
        assert_eq!(restore(&sealed(b"", 11)), Ok(Vec::new()));
        assert_eq!(restore(&[0; 10]), Ok(Vec::new()), "without a checksum");
        assert_eq!(restore(&sealed(b"\x00\x01a", 10)), Err(NO_FUNCTION));
        for broken in [
            &b"\xf5"[..],
            b"\xf5\x02a",
            b"\xf5\xc0\x01",
            b"\xf5\x40",
            b"\xf5\xc3\x02\x05\x00a",
            b"\xf5\xc3\x03\x05\x20\x00\x00",
        ] {
            assert_eq!(restore(&sealed(broken, 10)), Err(BROKEN), "{}", broken.escape_ascii());
        }
    }

    #[test]
    fn packed_strings_are_unpacked() {
        // "ab", then eight bytes from two back, then twenty from one back.
        assert_eq!(unpack(b"\x01ab\xc0\x01\xe0\x0b\x00", 30).unwrap(), [&b"ababababab"[..], &[b'b'; 20]].concat());
        assert_eq!(unpack(b"\x00a", 2), None);
    }

    proptest! {
        #[test]
        fn texts_come_back(codes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5), long in 0usize..40_000) {
            let mut codes = codes;
            codes.push(vec![b'x'; long]);
            let payload = dump(codes.iter().map(Vec::as_slice));
            prop_assert_eq!(restore(&payload).unwrap(), codes);
        }

        #[test]
        fn nothing_panics(packed in proptest::collection::vec(any::<u8>(), 0..60), bytes in 0usize..300) {
            if let Some(out) = unpack(&packed, bytes) {
                prop_assert_eq!(out.len(), bytes);
            }
            let _ = read_string(&packed);
        }
    }
}
