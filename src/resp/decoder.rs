//! The request decoder: a scanner that resumes where it stopped.
//!
//! It keeps no bytes of its own but what cannot stay where it is: an inline command's unquoted words, and requests with a
//! large argument. Everything else are spans of the connection's buffer. What it accepts is what Redis 7.2 accepts, looseness
//! included: no byte that ends a bulk string is looked at, nor the line feed after a length, and a line with a NUL in
//! it never ends.

use smallvec::SmallVec;

use super::error::ProtocolError;
use super::inline;
use super::large::LargeBulk;
use super::number::parse_decimal;

/// `proto-max-bulk-len` unless configured: the longest argument, in bytes.
pub const BULK_BYTES_MAX_DEFAULT: usize = 512 * 1024 * 1024;
/// The most arguments of one request.
pub const ARGUMENTS_MAX: usize = 1024 * 1024;
/// The longest line: an inline command, or a count or length with its marker.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// From this length on, an argument that is not there whole is received into a buffer of its own.
pub const LARGE_BULK_BYTES_MIN: usize = 64 * 1024;

/// Before AUTH.
const UNAUTHENTICATED_ARGUMENTS_MAX: usize = 10;
/// Before AUTH.
const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;
/// What positions can count. The shell's query buffer limit is far below it.
const REQUEST_BYTES_MAX: usize = u32::MAX as usize;
/// Memory that a decoder keeps for the next request's words and small arguments.
const SIDE_BYTES_KEPT_MAX: usize = 16 * 1024;
/// Spans that a decoder keeps room for.
const SPANS_KEPT_MAX: usize = 1024;

const _: () =
    assert!(UNAUTHENTICATED_BULK_BYTES_MAX < LARGE_BULK_BYTES_MIN && LARGE_BULK_BYTES_MIN < REQUEST_BYTES_MAX);
const _: () = assert!(LINE_BYTES_MAX < REQUEST_BYTES_MAX && BULK_BYTES_MAX_DEFAULT >= LARGE_BULK_BYTES_MIN);

/// A request's arguments as slices, the command's name first.
pub type Arguments<'a> = SmallVec<[&'a [u8]; 8]>;

/// What one look at the input gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A whole request with at least one argument. The next one starts `consumed` bytes on.
    Request {
        /// Bytes of the input that belong to it, or were skipped.
        consumed: usize,
    },
    /// An empty line or an empty array: nothing to do, nothing to answer. The next request starts `consumed` bytes on.
    Empty {
        /// Bytes of the input that were skipped.
        consumed: usize,
    },
    /// The request goes on: call again with the same bytes and more behind them.
    Incomplete {
        /// At least so many more bytes are needed.
        need: usize,
    },
    /// A large argument is on its way: all of the input was taken over, call again with only the bytes that follow it. They
    /// may also be received straight into [`Decoder::receiving`].
    Large {
        /// The length of the input.
        consumed: usize,
        /// Bytes of the argument that are still to come.
        remaining: usize,
    },
    /// The connection must be closed after this error's reply.
    Error(ProtocolError),
}

/// Where an argument's bytes are.
#[derive(Clone, Copy)]
struct Span {
    /// [`INPUT`], [`SIDE`], or a large argument's number plus [`FIRST_LARGE`].
    place: u32,
    start: u32,
    length: u32,
}

const INPUT: u32 = 0;
const SIDE: u32 = 1;
const FIRST_LARGE: u32 = 2;

/// No length is known yet.
const NO_BULK: usize = usize::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum LargeStage {
    None,
    /// The last of the large arguments is not whole.
    Receiving,
    /// It is; the two bytes after it are to be skipped.
    EndOwed,
}

/// One connection's decoder.
///
/// Feed it the undecoded bytes; after [`Decoded::Request`], and until the next call, its arguments can be had. Positions are
/// relative to the input's first byte, which must stay the same until a result says that bytes were consumed.
pub struct Decoder {
    /// Arguments of this request still to come; zero between requests.
    remaining: usize,
    /// The length of the argument being waited for, or [`NO_BULK`].
    bulk: usize,
    /// The scan goes on here.
    position: usize,
    /// No line ends before here.
    searched: usize,
    /// Arguments up to this length are within every bound and stay in the input.
    plain_bytes_max: usize,
    arguments_max: usize,
    /// Some bytes of this request are in `side` or `larges`.
    gathered: bool,
    stage: LargeStage,
    authenticated: bool,
    spans: SmallVec<[Span; 8]>,
    side: Vec<u8>,
    larges: Vec<LargeBulk>,
    bulk_bytes_max: usize,
    large_bytes_min: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(BULK_BYTES_MAX_DEFAULT)
    }
}

/// A line with a number.
enum Line {
    Number { value: Option<i64>, after: usize },
    Unfinished,
    TooLong,
}

impl Decoder {
    /// A decoder that takes arguments of at most `bulk_bytes_max` bytes, of a client that need not authenticate.
    pub fn new(bulk_bytes_max: usize) -> Self {
        Self::with_large_from(bulk_bytes_max, LARGE_BULK_BYTES_MIN)
    }

    /// For tests, which want large arguments to be small.
    pub(super) fn with_large_from(bulk_bytes_max: usize, large_bytes_min: usize) -> Self {
        let mut decoder = Decoder {
            remaining: 0,
            bulk: NO_BULK,
            position: 0,
            searched: 0,
            plain_bytes_max: 0,
            arguments_max: 0,
            gathered: false,
            stage: LargeStage::None,
            authenticated: true,
            spans: SmallVec::new(),
            side: Vec::new(),
            larges: Vec::new(),
            bulk_bytes_max,
            large_bytes_min,
        };
        decoder.derive_bounds();
        decoder
    }

    /// Whether the client is past AUTH, or needs none. Holds from the next length that is read.
    #[inline]
    pub fn set_authenticated(&mut self, authenticated: bool) {
        if self.authenticated != authenticated {
            self.authenticated = authenticated;
            self.derive_bounds();
        }
    }

    /// Changes `proto-max-bulk-len`. Holds from the next length that is read.
    #[inline]
    pub fn set_bulk_bytes_max(&mut self, bulk_bytes_max: usize) {
        if self.bulk_bytes_max != bulk_bytes_max {
            self.bulk_bytes_max = bulk_bytes_max;
            self.derive_bounds();
        }
    }

    #[cold]
    fn derive_bounds(&mut self) {
        // Half of the address space: the sum of a position and a length cannot overflow.
        self.bulk_bytes_max = self.bulk_bytes_max.min(isize::MAX as usize / 2);
        let unauthenticated = if self.authenticated { usize::MAX } else { UNAUTHENTICATED_BULK_BYTES_MAX };
        self.plain_bytes_max = self.bulk_bytes_max.min(unauthenticated).min(self.large_bytes_min - 1);
        self.arguments_max = if self.authenticated { ARGUMENTS_MAX } else { UNAUTHENTICATED_ARGUMENTS_MAX };
    }

    /// Looks for the next request. `input` is what has come and was not consumed, from the same first byte as last time.
    #[inline]
    pub fn next(&mut self, input: &[u8]) -> Decoded {
        if self.remaining == 0 {
            self.spans.clear();
            if self.gathered || self.spans.spilled() {
                self.forget();
            }
            match short_length(input, b'*') {
                Some((count, line)) if count > 0 && count <= self.arguments_max => {
                    self.remaining = count;
                    self.position = line;
                }
                _ => {
                    if let Some(decoded) = self.start(input) {
                        return decoded;
                    }
                }
            }
        } else if self.stage != LargeStage::None
            && let Some(decoded) = self.finish_large(input)
        {
            return decoded;
        }
        self.scan(input)
    }

    /// Reads arguments until the request is whole or the input ends.
    #[inline]
    fn scan(&mut self, input: &[u8]) -> Decoded {
        let mut position = self.position;
        let mut remaining = self.remaining;
        let mut length = self.bulk;
        let limit = input.len().min(REQUEST_BYTES_MAX);
        while remaining > 0 {
            if length == NO_BULK {
                match short_length(input.get(position..).unwrap_or_default(), b'$') {
                    Some((short, line)) if short <= self.plain_bytes_max => {
                        length = short;
                        position += line;
                    }
                    _ => {
                        (self.position, self.remaining, self.bulk) = (position, remaining, NO_BULK);
                        match self.length_line(input) {
                            Ok((long, after)) => (length, position) = (long, after),
                            Err(decoded) => return decoded,
                        }
                    }
                }
            }
            let end = position + length + 2;
            if end > limit {
                (self.position, self.remaining, self.bulk) = (position, remaining, length);
                return self.wait_for_bulk(input);
            }
            self.spans.push(Span { place: INPUT, start: position as u32, length: length as u32 });
            position = end;
            length = NO_BULK;
            remaining -= 1;
        }
        self.ready_for_next();
        Decoded::Request { consumed: position }
    }

    fn ready_for_next(&mut self) {
        (self.position, self.searched, self.remaining, self.bulk) = (0, 0, 0, NO_BULK);
    }

    /// Drops what the last request left beside the input.
    #[cold]
    fn forget(&mut self) {
        self.gathered = false;
        self.larges.clear();
        self.side.clear();
        self.side.shrink_to(SIDE_BYTES_KEPT_MAX);
        if self.spans.capacity() > SPANS_KEPT_MAX {
            self.spans.shrink_to_fit();
        }
    }

    /// The start of a request that is not simply a short count: anything else, anything wrong, anything unfinished. `None`
    /// if a count was read and arguments follow.
    #[cold]
    fn start(&mut self, input: &[u8]) -> Option<Decoded> {
        match input.first() {
            None => return Some(Decoded::Incomplete { need: 1 }),
            Some(b'*') => {}
            Some(_) => return Some(self.inline(input)),
        }
        let (value, after) = match self.number_line(input, 0) {
            Line::Unfinished => return Some(Decoded::Incomplete { need: 1 }),
            Line::TooLong => return Some(Decoded::Error(ProtocolError::TooBigMultibulkCount)),
            Line::Number { value, after } => (value, after),
        };
        match value {
            Some(count) if count <= 0 => {
                self.ready_for_next();
                Some(Decoded::Empty { consumed: after })
            }
            Some(count) if count <= self.arguments_max as i64 => {
                self.remaining = count as usize;
                self.position = after;
                self.searched = after;
                None
            }
            Some(count) if !self.authenticated && count <= i64::from(i32::MAX) => {
                Some(Decoded::Error(ProtocolError::UnauthenticatedMultibulkLength))
            }
            _ => Some(Decoded::Error(ProtocolError::InvalidMultibulkLength)),
        }
    }

    /// The line at `position` with an argument's length, where it is not simply a short one.
    #[cold]
    fn length_line(&mut self, input: &[u8]) -> Result<(usize, usize), Decoded> {
        let from = self.position;
        let (value, after) = match self.number_line(input, from) {
            Line::Unfinished => return Err(Decoded::Incomplete { need: 1 }),
            Line::TooLong => return Err(Decoded::Error(ProtocolError::TooBigBulkCount)),
            Line::Number { value, after } => (value, after),
        };
        if input[from] != b'$' {
            return Err(Decoded::Error(ProtocolError::ExpectedDollar(input[from])));
        }
        match value {
            Some(length) if length >= 0 && length as u64 <= self.bulk_bytes_max as u64 => {
                if !self.authenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX as i64 {
                    return Err(Decoded::Error(ProtocolError::UnauthenticatedBulkLength));
                }
                Ok((length as usize, after))
            }
            _ => Err(Decoded::Error(ProtocolError::InvalidBulkLength)),
        }
    }

    /// Reads the line at `from`: a marker, a number, a carriage return and one byte more.
    fn number_line(&mut self, input: &[u8], from: usize) -> Line {
        match self.find_line_end(input, from, b'\r') {
            Some(end) if end - from > LINE_BYTES_MAX => Line::TooLong,
            Some(end) if end + 2 > input.len() => Line::Unfinished,
            Some(end) => {
                // A carriage return in the marker's place leaves nothing to read.
                let digits = input.get(from + 1..end).unwrap_or_default();
                Line::Number { value: parse_decimal(digits), after: end + 2 }
            }
            None if input.len().saturating_sub(from) > LINE_BYTES_MAX => Line::TooLong,
            None => Line::Unfinished,
        }
    }

    /// The position of the first `end` at or behind `from`. A NUL hides all that follows it, as in Redis.
    fn find_line_end(&mut self, input: &[u8], from: usize, end: u8) -> Option<usize> {
        let from = from.max(self.searched);
        let rest = input.get(from..).unwrap_or_default();
        let found = rest.iter().position(|&byte| byte == end || byte == 0);
        self.searched = from + found.unwrap_or(rest.len());
        found.map(|found| from + found).filter(|&position| input[position] == end)
    }

    #[cold]
    fn inline(&mut self, input: &[u8]) -> Decoded {
        let end = match self.find_line_end(input, 0, b'\n') {
            Some(end) if end <= LINE_BYTES_MAX => end,
            None if input.len() <= LINE_BYTES_MAX => return Decoded::Incomplete { need: 1 },
            _ => return Decoded::Error(ProtocolError::TooBigInline),
        };
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        self.gathered = true;
        let spans = &mut self.spans;
        let split = inline::split(line, &mut self.side, |start, end| {
            spans.push(Span { place: SIDE, start: start as u32, length: (end - start) as u32 });
        });
        if split.is_err() {
            return Decoded::Error(ProtocolError::UnbalancedQuotes);
        }
        self.ready_for_next();
        if self.spans.is_empty() {
            Decoded::Empty { consumed: end + 1 }
        } else {
            Decoded::Request { consumed: end + 1 }
        }
    }

    /// The input ends within the argument at `position`, or is longer than positions can count.
    #[cold]
    fn wait_for_bulk(&mut self, input: &[u8]) -> Decoded {
        if self.bulk >= self.large_bytes_min && self.position + self.bulk > input.len() {
            return self.begin_large(input);
        }
        let end = self.position + self.bulk + 2;
        if end > REQUEST_BYTES_MAX {
            return Decoded::Error(ProtocolError::TooBigRequest);
        }
        Decoded::Incomplete { need: end - input.len() }
    }

    /// Takes the whole input over: the arguments before the large one go aside, and what has come of it into its buffer.
    fn begin_large(&mut self, input: &[u8]) -> Decoded {
        for span in self.spans.iter_mut().filter(|span| span.place == INPUT) {
            let start = self.side.len();
            if start + span.length as usize > REQUEST_BYTES_MAX {
                return Decoded::Error(ProtocolError::TooBigRequest);
            }
            self.side.extend_from_slice(&input[span.start as usize..][..span.length as usize]);
            (span.place, span.start) = (SIDE, start as u32);
        }
        let mut large = LargeBulk::new(self.bulk);
        large.receive(&input[self.position..]);
        let remaining = large.remaining();
        self.spans.push(Span { place: FIRST_LARGE + self.larges.len() as u32, start: 0, length: 0 });
        self.larges.push(large);
        self.gathered = true;
        self.stage = LargeStage::Receiving;
        (self.position, self.searched, self.bulk) = (0, 0, NO_BULK);
        Decoded::Large { consumed: input.len(), remaining }
    }

    /// Goes on with a large argument. `None` once it is past.
    #[cold]
    fn finish_large(&mut self, input: &[u8]) -> Option<Decoded> {
        if self.stage == LargeStage::Receiving {
            let large = self.larges.last_mut().expect("a large argument is being received");
            let taken = large.receive(input);
            if large.remaining() > 0 {
                return Some(Decoded::Large { consumed: input.len(), remaining: large.remaining() });
            }
            self.stage = LargeStage::EndOwed;
            self.position = taken;
        }
        let end = self.position + 2;
        if end > input.len() {
            return Some(Decoded::Incomplete { need: end - input.len() });
        }
        self.stage = LargeStage::None;
        self.position = end;
        self.remaining -= 1;
        None
    }

    /// The large argument being received, after [`Decoded::Large`]: whoever fills it from the socket calls
    /// [`Decoder::next`] again afterwards, with no input if nothing else has come.
    pub fn receiving(&mut self) -> Option<&mut LargeBulk> {
        if self.stage == LargeStage::Receiving { self.larges.last_mut() } else { None }
    }

    /// Whether some argument of the request is in a buffer of its own.
    #[inline]
    pub fn has_large(&self) -> bool {
        !self.larges.is_empty()
    }

    /// How many arguments the request has.
    #[inline]
    pub fn argument_count(&self) -> usize {
        self.spans.len()
    }

    /// One argument of the request that was found in `input`. Panics if there are not so many.
    #[inline]
    pub fn argument<'a>(&'a self, input: &'a [u8], index: usize) -> &'a [u8] {
        self.resolve(input, self.spans[index])
    }

    /// Appends the arguments of the request that was found in `input` to `arguments`.
    #[inline]
    pub fn arguments<'a>(&'a self, input: &'a [u8], arguments: &mut Arguments<'a>) {
        if self.gathered {
            arguments.extend(self.spans.iter().map(|&span| self.resolve(input, span)));
        } else {
            arguments.extend(self.spans.iter().map(|span| &input[span.start as usize..][..span.length as usize]));
        }
    }

    fn resolve<'a>(&'a self, input: &'a [u8], span: Span) -> &'a [u8] {
        let within = |bytes: &'a [u8]| &bytes[span.start as usize..][..span.length as usize];
        match span.place {
            INPUT => within(input),
            SIDE => within(&self.side),
            large => self.larges[(large - FIRST_LARGE) as usize].bytes(),
        }
    }

    /// Takes a large argument out, so that it need not be copied; it reads as empty afterwards. `None` if the argument is
    /// not in a buffer of its own.
    pub fn take_large(&mut self, index: usize) -> Option<Vec<u8>> {
        let number = self.spans[index].place.checked_sub(FIRST_LARGE)?;
        Some(self.larges[number as usize].take())
    }

    /// Memory that this decoder holds beside the input, in bytes: counts towards `client-query-buffer-limit`.
    pub fn held_bytes(&self) -> usize {
        let larges: usize = self.larges.iter().map(LargeBulk::capacity).sum();
        let spans = if self.spans.spilled() { self.spans.capacity() * size_of::<Span>() } else { 0 };
        self.side.capacity() + larges + spans
    }
}

/// The number, and the length with both end bytes, of the line at the start of `rest`, if it is `marker` and one to four
/// digits: what nearly all are. `None` if it is anything else.
#[inline(always)]
fn short_length(rest: &[u8], marker: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match *rest {
        [mark, a, b'\r', _, ..] if mark == marker && digit(a) < 10 => Some((digit(a), 4)),
        [mark, a @ b'1'..=b'9', b, b'\r', _, ..] if mark == marker && digit(b) < 10 => {
            Some((digit(a) * 10 + digit(b), 5))
        }
        [mark, a @ b'1'..=b'9', b, c, b'\r', _, ..] if mark == marker && digit(b) < 10 && digit(c) < 10 => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), 6))
        }
        [mark, a @ b'1'..=b'9', b, c, d, b'\r', _, ..]
            if mark == marker && digit(b) < 10 && digit(c) < 10 && digit(d) < 10 =>
        {
            Some((digit(a) * 1000 + digit(b) * 100 + digit(c) * 10 + digit(d), 7))
        }
        _ => None,
    }
}
