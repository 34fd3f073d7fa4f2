//! What can be wrong with a request's framing, in Redis's words.

use std::fmt;

/// A request that breaks the protocol. The client gets its text, then its connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// The count after `*` is no number, or above the bound.
    InvalidMultibulkLength,
    /// The line with the count does not end.
    TooBigMultibulkCount,
    /// The line with a bulk's length does not end.
    TooBigBulkCount,
    /// An argument starts with another byte than `$`.
    ExpectedDollar(u8),
    /// A bulk's length is no number, negative, or above `proto-max-bulk-len`.
    InvalidBulkLength,
    /// More arguments than a client may send before AUTH.
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before AUTH.
    UnauthenticatedBulkLength,
    /// An inline command's line does not end.
    TooBigInline,
    /// An inline command leaves a quote open, or goes on right behind a closed one.
    UnbalancedQuotes,
    /// The small arguments of one request are more than positions can count. Redis has no such bound of its own: there
    /// `client-query-buffer-limit` comes first.
    TooBigRequest,
}

impl ProtocolError {
    /// Appends the error reply, framed. Bytes that are no UTF-8 go out as they came in, as in Redis.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR Protocol error: ");
        match self {
            ProtocolError::ExpectedDollar(got) => {
                out.extend_from_slice(b"expected '$', got '");
                out.push(if matches!(got, b'\r' | b'\n') { b' ' } else { *got });
                out.push(b'\'');
            }
            other => out.extend_from_slice(other.reason().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn reason(&self) -> &'static str {
        match self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::TooBigMultibulkCount => "too big mbulk count string",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::ExpectedDollar(_) => "expected '$'",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::TooBigRequest => "too big request",
        }
    }
}

/// For log lines; the wire gets [`ProtocolError::write`].
impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol error: {}", self.reason())?;
        match self {
            ProtocolError::ExpectedDollar(got) => write!(f, ", got '{}'", got.escape_ascii()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_byte_goes_out_unchanged_and_a_line_break_does_not() {
        let written = |error: ProtocolError| {
            let mut out = Vec::new();
            error.write(&mut out);
            out
        };
        assert_eq!(written(ProtocolError::ExpectedDollar(0xff)), b"-ERR Protocol error: expected '$', got '\xff'\r\n");
        assert_eq!(written(ProtocolError::ExpectedDollar(b'\r')), b"-ERR Protocol error: expected '$', got ' '\r\n");
        assert_eq!(written(ProtocolError::TooBigInline), b"-ERR Protocol error: too big inline request\r\n");
    }
}
