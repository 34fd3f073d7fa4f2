//! One reply, parsed, in either protocol.

use std::fmt;

/// Deeper nesting than this is taken for garbage.
const DEPTH_MAX: usize = 64;

/// A reply of RESP2 or RESP3. Both nulls of RESP2 and the one of RESP3 stay apart, since tests compare what was sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR ...`
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3 abc`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*2 ...`
    Array(Vec<Reply>),
    /// `%1 ...`, keys and values alternately
    Map(Vec<Reply>),
    /// `~2 ...`
    Set(Vec<Reply>),
    /// `>2 ...`
    Push(Vec<Reply>),
    /// `,1.5`, as its text
    Double(Vec<u8>),
    /// `#t`
    Boolean(bool),
    /// `(123`, as its digits
    BigNumber(Vec<u8>),
    /// `=7 txt:abc`, with its format
    Verbatim(Vec<u8>),
    /// `!3 abc`
    BulkError(Vec<u8>),
    /// `|1 ...` and the reply after it
    Attributed(Vec<Reply>, Box<Reply>),
}

/// What a server sent is no reply of either protocol.
#[derive(Debug)]
pub struct MalformedReply {
    /// Where, in bytes from the start of the reply.
    pub offset: usize,
    /// What was wrong there.
    pub reason: &'static str,
}

impl Reply {
    /// Parses the reply at the start of `bytes`. `None` while it is not there whole; else it and its length in bytes.
    ///
    /// # Errors
    /// When the bytes cannot become a reply, whatever follows.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, MalformedReply> {
        let mut at = 0;
        Ok(parse_at(bytes, &mut at, 0)?.map(|reply| (reply, at)))
    }

    /// The text of an error; `None` for any other reply.
    pub fn error_text(&self) -> Option<String> {
        match self {
            Reply::Error(text) | Reply::BulkError(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The bytes of a string of any kind.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Simple(bytes) | Reply::Bulk(bytes) | Reply::Double(bytes) | Reply::BigNumber(bytes) => Some(bytes),
            // "txt:" comes before the text.
            Reply::Verbatim(bytes) => bytes.get(4..),
            _ => None,
        }
    }

    /// A string as text. Panics for anything else.
    pub fn text(&self) -> String {
        let bytes = self.bytes().unwrap_or_else(|| panic!("no string: {self:?}"));
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// An integer's value. Panics for anything else.
    pub fn integer(&self) -> i64 {
        match self {
            Reply::Integer(value) => *value,
            other => panic!("no integer: {other:?}"),
        }
    }

    /// The elements of an aggregate. Panics for anything else.
    pub fn elements(&self) -> &[Reply] {
        match self {
            Reply::Array(parts) | Reply::Map(parts) | Reply::Set(parts) | Reply::Push(parts) => parts,
            other => panic!("no aggregate: {other:?}"),
        }
    }

    /// Is it one of the three nulls?
    pub fn is_null(&self) -> bool {
        matches!(self, Reply::NullBulk | Reply::NullArray | Reply::Null)
    }

    /// Is it `+OK`?
    pub fn is_ok(&self) -> bool {
        matches!(self, Reply::Simple(text) if text == b"OK")
    }
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>, MalformedReply> {
    let rest = &bytes[*at..];
    match rest.iter().position(|&byte| byte == b'\r') {
        Some(end) if end + 1 == rest.len() => Ok(None),
        Some(end) if rest[end + 1] == b'\n' => {
            *at += end + 2;
            Ok(Some(&rest[..end]))
        }
        Some(end) => Err(MalformedReply { offset: *at + end, reason: "a carriage return without a line feed" }),
        None => Ok(None),
    }
}

fn integer(text: &[u8], offset: usize) -> Result<i64, MalformedReply> {
    let malformed = MalformedReply { offset, reason: "not an integer" };
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(malformed)
}

fn parse_at(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Option<Reply>, MalformedReply> {
    let start = *at;
    let malformed = |reason| MalformedReply { offset: start, reason };
    if depth > DEPTH_MAX {
        return Err(malformed("nested too deep"));
    }
    let Some(&kind) = bytes.get(start) else {
        return Ok(None);
    };
    *at += 1;
    let Some(head) = line(bytes, at)? else {
        return Ok(None);
    };
    let reply = match kind {
        b'+' => Reply::Simple(head.to_vec()),
        b'-' => Reply::Error(head.to_vec()),
        b':' => Reply::Integer(integer(head, start)?),
        b',' => Reply::Double(head.to_vec()),
        b'(' => Reply::BigNumber(head.to_vec()),
        b'_' if head.is_empty() => Reply::Null,
        b'#' if head == b"t" => Reply::Boolean(true),
        b'#' if head == b"f" => Reply::Boolean(false),
        b'$' | b'=' | b'!' => {
            let length = integer(head, start)?;
            if kind == b'$' && length == -1 {
                return Ok(Some(Reply::NullBulk));
            }
            let length = usize::try_from(length).map_err(|_| malformed("a negative length"))?;
            let Some(body) = bytes.get(*at..*at + length + 2) else {
                return Ok(None);
            };
            if &body[length..] != b"\r\n" {
                return Err(malformed("a string without its line end"));
            }
            *at += length + 2;
            let body = body[..length].to_vec();
            match kind {
                b'$' => Reply::Bulk(body),
                b'=' => Reply::Verbatim(body),
                _ => Reply::BulkError(body),
            }
        }
        b'*' | b'%' | b'~' | b'>' | b'|' => {
            let count = integer(head, start)?;
            if kind == b'*' && count == -1 {
                return Ok(Some(Reply::NullArray));
            }
            let count = usize::try_from(count).map_err(|_| malformed("a negative count"))?;
            let count = if matches!(kind, b'%' | b'|') { 2 * count } else { count };
            let mut parts = Vec::new();
            for _ in 0..count {
                let Some(part) = parse_at(bytes, at, depth + 1)? else {
                    return Ok(None);
                };
                parts.push(part);
            }
            match kind {
                b'*' => Reply::Array(parts),
                b'%' => Reply::Map(parts),
                b'~' => Reply::Set(parts),
                b'>' => Reply::Push(parts),
                _ => {
                    let Some(about) = parse_at(bytes, at, depth + 1)? else {
                        return Ok(None);
                    };
                    Reply::Attributed(parts, Box::new(about))
                }
            }
        }
        _ => return Err(malformed("an unknown type byte")),
    };
    Ok(Some(reply))
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Reply::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Reply::Integer(value) => write!(f, ":{value}"),
            Reply::Bulk(bytes) if bytes.len() > 400 => {
                write!(f, "\"{}...\" ({} bytes)", bytes[..100].escape_ascii(), bytes.len())
            }
            Reply::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Reply::NullBulk => write!(f, "$-1"),
            Reply::NullArray => write!(f, "*-1"),
            Reply::Null => write!(f, "_"),
            Reply::Array(parts) => f.debug_list().entries(parts).finish(),
            Reply::Map(parts) => write!(f, "%").and_then(|()| f.debug_list().entries(parts).finish()),
            Reply::Set(parts) => write!(f, "~").and_then(|()| f.debug_list().entries(parts).finish()),
            Reply::Push(parts) => write!(f, ">").and_then(|()| f.debug_list().entries(parts).finish()),
            Reply::Double(text) => write!(f, ",{}", text.escape_ascii()),
            Reply::Boolean(value) => write!(f, "#{value}"),
            Reply::BigNumber(text) => write!(f, "({}", text.escape_ascii()),
            Reply::Verbatim(text) => write!(f, "={}", text.escape_ascii()),
            Reply::BulkError(text) => write!(f, "!{}", text.escape_ascii()),
            Reply::Attributed(attributes, about) => {
                write!(f, "|").and_then(|()| f.debug_list().entries(attributes).finish())?;
                write!(f, " {about:?}")
            }
        }
    }
}
