//! Where a command writes its reply: a socket's buffer, the Lua stack, or an element of EXEC's array.

/// The protocol that a reply is shaped for. RESP2 flattens what RESP3 has types for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// RESP2, a connection's first protocol.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Receives one reply, part by part, in wire order. No reply tree exists: an aggregate's header says how many elements
/// follow, and they follow.
///
/// Every method that RESP2 has no type for says what it becomes there; a sink whose [`ReplySink::protocol`] is RESP2 does that
/// itself, so that handlers are written once.
pub trait ReplySink {
    /// The protocol that this reply is shaped for.
    fn protocol(&self) -> Protocol;
    /// A simple string (`+OK`), without line breaks. A script's may be any bytes.
    fn simple_bytes(&mut self, text: &[u8]);
    /// An error, with its prefix (`ERR syntax error`), without the leading dash. Line breaks in it become spaces. What it quotes may be
    /// any bytes.
    fn error_bytes(&mut self, text: &[u8]);
    /// An integer.
    fn integer(&mut self, value: i64);
    /// A binary-safe string.
    fn bulk(&mut self, bytes: &[u8]);
    /// No value: `$-1` in RESP2.
    fn null(&mut self);
    /// No array: `*-1` in RESP2, the same null as [`ReplySink::null`] in RESP3.
    fn null_array(&mut self);
    /// An array of `len` elements, which follow.
    fn array(&mut self, len: usize);
    /// A map of `pairs` pairs, whose keys and values follow alternately; an array of twice as many in RESP2.
    fn map(&mut self, pairs: usize);
    /// A set of `len` elements, which follow; an array in RESP2.
    fn set(&mut self, len: usize);
    /// A push message of `len` elements, which follow; an array in RESP2.
    fn push(&mut self, len: usize);
    /// A double; a bulk string in RESP2, written as Redis writes it (shortest digits that read back, `inf`, `-inf`, `nan`).
    fn double(&mut self, value: f64);
    /// A boolean; `:1` or `:0` in RESP2.
    fn boolean(&mut self, value: bool);
    /// A number of any size, as digits; a bulk string in RESP2.
    fn big_number(&mut self, digits: &[u8]);
    /// Text with a three-letter format (`txt`, `mkd`); a bulk string in RESP2.
    fn verbatim(&mut self, format: [u8; 3], text: &[u8]);
    /// Attributes of the element after them; RESP3 only. The keys and values follow alternately.
    fn attribute(&mut self, pairs: usize);
    /// A reply that is already encoded for this sink's protocol (from another core, say). Sinks that are not wires parse it.
    fn encoded(&mut self, bytes: &[u8]);

    /// What follows is shaped for another protocol (HELLO, RESET). Sinks that are not a connection's keep theirs.
    fn switch_protocol(&mut self, _protocol: Protocol) {}

    /// A simple string of our own words.
    #[inline]
    fn simple(&mut self, text: &str) {
        self.simple_bytes(text.as_bytes());
    }

    /// An error of our own words.
    #[inline]
    fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// `+OK`.
    fn ok(&mut self) {
        self.simple("OK");
    }
}

/// Where replies go that nobody waits for.
pub struct Discarded;

impl ReplySink for Discarded {
    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }
    fn simple_bytes(&mut self, _: &[u8]) {}
    fn error_bytes(&mut self, _: &[u8]) {}
    fn integer(&mut self, _: i64) {}
    fn bulk(&mut self, _: &[u8]) {}
    fn null(&mut self) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn push(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn boolean(&mut self, _: bool) {}
    fn big_number(&mut self, _: &[u8]) {}
    fn verbatim(&mut self, _: [u8; 3], _: &[u8]) {}
    fn attribute(&mut self, _: usize) {}
    fn encoded(&mut self, _: &[u8]) {}
}
