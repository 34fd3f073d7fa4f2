//! The extent of an encoded reply: what a join needs to know of replies from other shards.

use super::number::parse_decimal;

/// What a reply is, as far as joins care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// `-` or `!`.
    Error,
    /// `:`, with its value.
    Integer(i64),
    /// `$-1`, `*-1` or `_`.
    Null,
    /// `*`, with the number of its elements.
    Array(usize),
    /// `~`, with the number of its elements.
    Set(usize),
    /// `>`, with the number of its elements.
    Push(usize),
    /// `%`, with the number of its pairs.
    Map(usize),
    /// A string, double, boolean or big number.
    Scalar,
}

/// One whole encoded reply at the start of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it is. Attributes before it do not count.
    pub kind: FrameKind,
    /// Where its elements start: behind its header, and behind attributes.
    pub body: usize,
    /// Where it ends.
    pub end: usize,
}

/// The bytes are no whole reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// More bytes must follow.
    Incomplete,
    /// This is no RESP.
    Malformed,
}

/// One line, and the string that may follow it.
struct Header {
    kind: FrameKind,
    /// It says something about the frame after it.
    attribute: bool,
    /// Frames that follow as its elements.
    elements: u64,
    end: usize,
}

impl Frame {
    /// Reads the reply at the start of `bytes`. Nesting is counted, not followed: the depth costs nothing.
    pub fn read(bytes: &[u8]) -> Result<Frame, FrameError> {
        let mut first: Option<(FrameKind, usize)> = None;
        let mut position = 0;
        let mut owed: u64 = 1;
        // Elements of attributes before the frame itself.
        let mut attributed: u64 = 0;
        while owed > 0 {
            let header = read_header(bytes, position)?;
            position = header.end;
            if header.attribute {
                owed = owed.checked_add(header.elements).ok_or(FrameError::Malformed)?;
                if first.is_none() {
                    attributed = attributed.checked_add(header.elements).ok_or(FrameError::Malformed)?;
                }
                continue;
            }
            owed = (owed - 1).checked_add(header.elements).ok_or(FrameError::Malformed)?;
            if first.is_none() {
                if attributed == 0 {
                    first = Some((header.kind, header.end));
                } else {
                    attributed = (attributed - 1).checked_add(header.elements).ok_or(FrameError::Malformed)?;
                }
            }
        }
        let (kind, body) = first.ok_or(FrameError::Malformed)?;
        Ok(Frame { kind, body, end: position })
    }
}

fn read_header(bytes: &[u8], start: usize) -> Result<Header, FrameError> {
    let rest = bytes.get(start..).unwrap_or_default();
    let line = rest.iter().position(|&byte| byte == b'\r').ok_or(FrameError::Incomplete)?;
    match rest.get(line + 1) {
        None => return Err(FrameError::Incomplete),
        Some(b'\n') => {}
        Some(_) => return Err(FrameError::Malformed),
    }
    let (&marker, text) = rest[..line].split_first().ok_or(FrameError::Malformed)?;
    let after = start + line + 2;
    let scalar = |kind| Ok(Header { kind, attribute: false, elements: 0, end: after });
    let length = || {
        let length = parse_decimal(text).filter(|&length| length >= -1).ok_or(FrameError::Malformed)?;
        Ok(usize::try_from(length).ok())
    };
    match marker {
        b'+' | b',' | b'#' | b'(' => scalar(FrameKind::Scalar),
        b'-' => scalar(FrameKind::Error),
        b'_' => scalar(FrameKind::Null),
        b':' => scalar(FrameKind::Integer(parse_decimal(text).ok_or(FrameError::Malformed)?)),
        b'$' | b'=' | b'!' => {
            let Some(length) = length()? else { return scalar(FrameKind::Null) };
            let end = after.checked_add(length).and_then(|end| end.checked_add(2)).ok_or(FrameError::Malformed)?;
            if end > bytes.len() {
                return Err(FrameError::Incomplete);
            }
            let kind = if marker == b'!' { FrameKind::Error } else { FrameKind::Scalar };
            Ok(Header { kind, attribute: false, elements: 0, end })
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Some(length) = length()? else { return scalar(FrameKind::Null) };
            let (kind, frames_each) = match marker {
                b'*' => (FrameKind::Array(length), 1),
                b'~' => (FrameKind::Set(length), 1),
                b'>' => (FrameKind::Push(length), 1),
                _ => (FrameKind::Map(length), 2),
            };
            let elements = (length as u64).checked_mul(frames_each).ok_or(FrameError::Malformed)?;
            Ok(Header { kind, attribute: marker == b'|', elements, end: after })
        }
        _ => Err(FrameError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn expect(bytes: &[u8], kind: FrameKind, body: usize) {
        let mut with_more = bytes.to_vec();
        with_more.extend_from_slice(b"+next\r\n");
        let wanted = Frame { kind, body, end: bytes.len() };
        assert_eq!(Frame::read(&with_more), Ok(wanted));
        assert_eq!(Frame::read(bytes), Ok(wanted));
        for cut in 0..bytes.len() {
            assert_eq!(Frame::read(&bytes[..cut]), Err(FrameError::Incomplete), "cut at {cut}");
        }
    }

    #[test]
    fn every_type() {
        expect(b"+OK\r\n", FrameKind::Scalar, 5);
        expect(b"-ERR x\r\n", FrameKind::Error, 8);
        expect(b"!3\r\nERR\r\n", FrameKind::Error, 9);
        expect(b":-12\r\n", FrameKind::Integer(-12), 6);
        expect(b"$3\r\na\r\n\r\n", FrameKind::Scalar, 9);
        expect(b"$-1\r\n", FrameKind::Null, 5);
        expect(b"*-1\r\n", FrameKind::Null, 5);
        expect(b"_\r\n", FrameKind::Null, 3);
        expect(b",3.5\r\n", FrameKind::Scalar, 6);
        expect(b"=5\r\ntxt:a\r\n", FrameKind::Scalar, 11);
        expect(b"*0\r\n", FrameKind::Array(0), 4);
        expect(b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", FrameKind::Array(2), 4);
        expect(b"~1\r\n:1\r\n", FrameKind::Set(1), 4);
        expect(b">1\r\n:1\r\n", FrameKind::Push(1), 4);
        expect(b"%1\r\n:1\r\n%0\r\n", FrameKind::Map(1), 4);
        expect(b"|1\r\n+a\r\n*1\r\n:2\r\n*1\r\n|1\r\n:1\r\n:2\r\n:3\r\n", FrameKind::Array(1), 20);
    }

    #[test]
    fn nesting_a_million_deep_is_only_counted() {
        let mut bytes = b"*1\r\n".repeat(1_000_000);
        bytes.extend_from_slice(b":1\r\n");
        assert_eq!(Frame::read(&bytes), Ok(Frame { kind: FrameKind::Array(1), body: 4, end: bytes.len() }));
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"x\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"*01\r\n",
            b"+a\rb",
            b"$?\r\n",
            b"%9223372036854775807\r\n%9223372036854775807\r\n",
        ] {
            assert_eq!(Frame::read(bytes), Err(FrameError::Malformed), "{}", bytes.escape_ascii());
        }
        assert_eq!(Frame::read(b"$9223372036854775807\r\n"), Err(FrameError::Incomplete));
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in proptest::collection::vec(prop_oneof![Just(b'*'), Just(b'|'), Just(b'1'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..60)) {
            if let Ok(frame) = Frame::read(&bytes) {
                prop_assert!(frame.body <= frame.end && frame.end <= bytes.len());
            }
        }
    }
}
