//! Why a command failed, and the words that a client reads: chosen here and nowhere else.

use crate::keyspace::ColdRange;
use crate::reply::ReplySink;
use std::borrow::Cow;

/// Bytes of what a client sent that an error repeats at most.
pub(super) const SHOWN_BYTES_MAX: usize = 128;

/// The first word of an error's text.
pub fn error_code(text: &[u8]) -> &[u8] {
    text.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default()
}

/// Why a command did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A value must be brought in from disk first; the command is undone and run again. No client reads this.
    Cold(ColdRange),
    /// The arguments do not fit the command's form.
    Syntax,
    /// An argument, or a value, is not a 64-bit integer.
    NotInteger,
    /// An argument, or a value, is not a finite number.
    NotFloat,
    /// The key must exist and does not.
    NoSuchKey,
    /// An offset lies outside of what a string may have.
    OffsetOutOfRange,
    /// The string would be longer than `proto-max-bulk-len`.
    StringTooLong,
    /// The number of arguments does not fit.
    WrongArity(&'static str),
    /// A whole error text, prefix included.
    Text(Cow<'static, [u8]>),
}

impl Failure {
    /// An error whose text needs no formatting.
    pub const fn text(text: &'static str) -> Self {
        Failure::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// An error whose text was made for the occasion.
    pub fn said(text: String) -> Self {
        Failure::Text(Cow::Owned(text.into_bytes()))
    }

    /// An error that quotes what the client sent, as Redis does it: any bytes, but not past a zero.
    pub fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        Failure::Text(Cow::Owned([before.as_bytes(), as_c_string(quoted), after.as_bytes()].concat()))
    }

    /// A subcommand that is unknown, or has more arguments than it takes: Redis tells these apart only where its table does.
    pub fn subcommand(container: &'static str, given: &[u8]) -> Self {
        let given = &given[..given.len().min(SHOWN_BYTES_MAX)];
        let after = format!("'. Try {container} HELP.");
        Failure::quoting("ERR unknown subcommand or wrong number of arguments for '", given, &after)
    }

    /// The first word of its text: what INFO counts errors by.
    pub fn code(&self) -> &[u8] {
        match self {
            Failure::Text(text) => error_code(text),
            _ => b"ERR",
        }
    }

    /// Writes the error reply.
    ///
    /// # Panics
    /// On [`Failure::Cold`], which is not for clients.
    pub fn write(&self, reply: &mut dyn ReplySink) {
        match self {
            Failure::Cold(range) => panic!("a cold value is no reply: {range:?}"),
            Failure::Syntax => reply.error("ERR syntax error"),
            Failure::NotInteger => reply.error("ERR value is not an integer or out of range"),
            Failure::NotFloat => reply.error("ERR value is not a valid float"),
            Failure::NoSuchKey => reply.error("ERR no such key"),
            Failure::OffsetOutOfRange => reply.error("ERR offset is out of range"),
            Failure::StringTooLong => {
                reply.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
            }
            Failure::WrongArity(name) => {
                reply.error(&format!("ERR wrong number of arguments for '{name}' command"));
            }
            Failure::Text(text) => reply.error_bytes(text),
        }
    }
}

/// What a C string of these bytes shows.
pub fn as_c_string(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

impl From<ColdRange> for Failure {
    fn from(range: ColdRange) -> Self {
        Failure::Cold(range)
    }
}
