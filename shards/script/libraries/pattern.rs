//! The patterns of Lua 5.1, compiled once and matched without recursion.
//!
//! A pattern has no alternatives and no groups that repeat: its operations are a straight line. A repeated item is thus under way at most
//! once, and its choices are one range of places to go on from: backtracking needs one frame per item, however long the text is. Captures
//! need no undoing either: whatever goes on after a choice sets those that follow again.
//!
//! A pattern is looked at as far as the matching gets, as in Lua: what is wrong behind that place does not matter. And it ends at its
//! first zero byte.

use crate::script::work::{Stopped, Work};
use memchr::{memchr, memrchr};

/// Captures of one pattern.
pub(super) const CAPTURES_MAX: usize = 32;

/// Patterns up to this length are kept compiled.
const KEPT_BYTES_MAX: usize = 256;

/// Compiled patterns that are kept.
const KEPT: usize = 64;

/// Bytes that are looked at between two counts of steps.
const CHUNK_BYTES: usize = 16 << 10;

/// What is wrong with a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    EndsWithPercent,
    MissingBracket,
    MissingBracketAfterF,
    Unbalanced,
    CaptureIndex,
    PatternCapture,
    TooManyCaptures,
}

impl Fault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Fault::EndsWithPercent => "malformed pattern (ends with '%')",
            Fault::MissingBracket => "malformed pattern (missing ']')",
            Fault::MissingBracketAfterF => "missing '[' after '%f' in pattern",
            Fault::Unbalanced => "unbalanced pattern",
            Fault::CaptureIndex => "invalid capture index",
            Fault::PatternCapture => "invalid pattern capture",
            Fault::TooManyCaptures => "too many captures",
        }
    }
}

/// Why the matching ended without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Stopped,
    Fault(Fault),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Ended::Stopped
    }
}

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Set([u64; 4]);

impl Set {
    fn of(contains: impl Fn(u8) -> bool) -> Self {
        let mut set = Set([0; 4]);
        for byte in (0..=u8::MAX).filter(|&byte| contains(byte)) {
            set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    #[inline(always)]
    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

/// Which bytes one item matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Any,
    Byte(u8),
    /// A set by its number.
    Set(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    One(Class),
    Optional(Class),
    /// As many as there are.
    Most {
        class: Class,
        at_least: u8,
        follower: Option<u8>,
    },
    /// As few as will do.
    Least {
        class: Class,
        follower: Option<u8>,
    },
    Open(u8),
    Position(u8),
    Close(u8),
    Balanced(u8, u8),
    Frontier(u32),
    /// The text of an earlier capture; never that of a position.
    Same {
        capture: u8,
        is_position: bool,
    },
    End,
    Fail(Fault),
    Done,
}

/// What a capture is once the pattern has matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Capture {
    Unfinished,
    /// A place, from zero.
    Position(usize),
    Range(usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unfinished,
    Position,
    Range,
}

/// The choices of one item that repeats.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The item.
    operation: u32,
    low: u32,
    high: u32,
}

/// What a match can start with.
#[derive(Clone, Copy, Debug)]
enum First {
    Anything,
    Of(Class),
}

/// A compiled pattern, and the captures of its last match.
#[derive(Debug)]
pub(super) struct Pattern {
    source: Box<[u8]>,
    operations: Vec<Operation>,
    sets: Vec<Set>,
    first: First,
    level: usize,
    kinds: [Kind; CAPTURES_MAX],
    ranges: [(u32, u32); CAPTURES_MAX],
    frames: Vec<Frame>,
}

impl Pattern {
    /// Compiles a pattern; a `^` is an ordinary character. Not a part of its callers: their frames lie within each other.
    #[inline(never)]
    pub(super) fn new(source: &[u8], work: &mut Work<'_>) -> Result<Box<Self>, Stopped> {
        let mut pattern = Box::new(Pattern {
            source: source.into(),
            operations: Vec::new(),
            sets: Vec::new(),
            first: First::Anything,
            level: 0,
            kinds: [Kind::Unfinished; CAPTURES_MAX],
            ranges: [(0, 0); CAPTURES_MAX],
            frames: Vec::new(),
        });
        let source = match memchr(0, source) {
            Some(end) => &source[..end],
            None => source,
        };
        let mut at = 0;
        loop {
            work.spend(16)?;
            let operation = pattern.compile(source, &mut at).unwrap_or_else(Operation::Fail);
            pattern.operations.push(operation);
            if matches!(operation, Operation::Done | Operation::Fail(_)) {
                break;
            }
        }
        pattern.look_ahead();
        Ok(pattern)
    }

    /// The captures there are.
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// A capture of the last match.
    #[inline(always)]
    pub(super) fn capture(&self, index: usize) -> Capture {
        let (start, end) = self.ranges[index];
        match self.kinds[index] {
            Kind::Unfinished => Capture::Unfinished,
            Kind::Position => Capture::Position(start as usize),
            Kind::Range => Capture::Range(start as usize, end as usize),
        }
    }

    /// The next operation of a pattern.
    fn compile(&mut self, source: &[u8], at: &mut usize) -> Result<Operation, Fault> {
        let peek = |index: usize| source.get(index).copied();
        let Some(first) = peek(*at) else {
            return Ok(Operation::Done);
        };
        match (first, peek(*at + 1)) {
            (b'(', next) => {
                let capture = self.level;
                if capture == CAPTURES_MAX {
                    return Err(Fault::TooManyCaptures);
                }
                self.level += 1;
                if next == Some(b')') {
                    *at += 2;
                    self.kinds[capture] = Kind::Position;
                    return Ok(Operation::Position(capture as u8));
                }
                *at += 1;
                return Ok(Operation::Open(capture as u8));
            }
            (b')', _) => {
                let open = self.kinds[..self.level].iter().rposition(|&kind| kind == Kind::Unfinished);
                let capture = open.ok_or(Fault::PatternCapture)?;
                *at += 1;
                self.kinds[capture] = Kind::Range;
                return Ok(Operation::Close(capture as u8));
            }
            (b'$', None) => {
                *at += 1;
                return Ok(Operation::End);
            }
            (b'%', Some(b'b')) => {
                let (Some(opening), Some(closing)) = (peek(*at + 2), peek(*at + 3)) else {
                    return Err(Fault::Unbalanced);
                };
                *at += 4;
                return Ok(Operation::Balanced(opening, closing));
            }
            (b'%', Some(b'f')) => {
                *at += 2;
                if peek(*at) != Some(b'[') {
                    return Err(Fault::MissingBracketAfterF);
                }
                let end = end_of_set(source, *at)?;
                let set = bracketed(&source[*at..end]);
                *at = end;
                return Ok(Operation::Frontier(self.number_of(set)));
            }
            (b'%', Some(digit @ b'0'..=b'9')) => {
                let capture = usize::from(digit).wrapping_sub(usize::from(b'1'));
                if capture >= self.level || self.kinds[capture] == Kind::Unfinished {
                    return Err(Fault::CaptureIndex);
                }
                *at += 2;
                let is_position = self.kinds[capture] == Kind::Position;
                return Ok(Operation::Same { capture: capture as u8, is_position });
            }
            _ => {}
        }
        let class = match first {
            b'.' => {
                *at += 1;
                Class::Any
            }
            b'%' => {
                let letter = peek(*at + 1).ok_or(Fault::EndsWithPercent)?;
                *at += 2;
                if letter.is_ascii_alphabetic() && is_class(letter) {
                    let set = Set::of(|byte| in_class(letter, byte));
                    Class::Set(self.number_of(set))
                } else {
                    Class::Byte(letter)
                }
            }
            b'[' => {
                let end = end_of_set(source, *at)?;
                let set = bracketed(&source[*at..end]);
                *at = end;
                Class::Set(self.number_of(set))
            }
            byte => {
                *at += 1;
                Class::Byte(byte)
            }
        };
        let operation = match peek(*at) {
            Some(b'?') => Operation::Optional(class),
            Some(b'*') => Operation::Most { class, at_least: 0, follower: None },
            Some(b'+') => Operation::Most { class, at_least: 1, follower: None },
            Some(b'-') => Operation::Least { class, follower: None },
            _ => return Ok(Operation::One(class)),
        };
        *at += 1;
        Ok(operation)
    }

    /// The number of a set. The few that came last are looked through: most patterns repeat theirs.
    fn number_of(&mut self, set: Set) -> u32 {
        let before = self.sets.len().saturating_sub(8);
        let known = self.sets[before..].iter().position(|&other| other == set);
        let number = known.map_or(self.sets.len(), |place| before + place);
        if number == self.sets.len() {
            self.sets.push(set);
        }
        number as u32
    }

    /// Notes what the matching can skip to.
    fn look_ahead(&mut self) {
        let mut next = None;
        for operation in self.operations.iter_mut().rev() {
            match operation {
                Operation::Open(_) | Operation::Position(_) | Operation::Close(_) => continue,
                Operation::Most { follower, .. } | Operation::Least { follower, .. } => {
                    if let Some(Operation::One(Class::Byte(byte))) = next {
                        *follower = Some(byte);
                    }
                }
                _ => {}
            }
            next = Some(*operation);
        }
        self.first = match next {
            Some(Operation::One(class) | Operation::Most { class, at_least: 1, .. }) => First::Of(class),
            _ => First::Anything,
        };
    }

    /// The first match at or after `start`, or only there.
    pub(super) fn find(
        &mut self,
        work: &mut Work<'_>,
        text: &[u8],
        start: usize,
        only_there: bool,
    ) -> Result<Option<(usize, usize)>, Ended> {
        if only_there {
            return Ok(self.match_at(work, text, start)?.map(|end| (start, end)));
        }
        let mut at = start;
        while at <= text.len() {
            if let First::Of(class) = self.first {
                match self.next_of(work, class, text, at)? {
                    Some(place) => at = place,
                    None => return Ok(None),
                }
            }
            if let Some(end) = self.match_at(work, text, at)? {
                return Ok(Some((at, end)));
            }
            at += 1;
        }
        Ok(None)
    }

    /// The next place with a byte of a class.
    #[inline(always)]
    fn next_of(&self, work: &mut Work<'_>, class: Class, text: &[u8], start: usize) -> Result<Option<usize>, Stopped> {
        let mut at = start;
        while at < text.len() {
            let chunk = &text[at..text.len().min(at + CHUNK_BYTES)];
            let (found, bytes_per_step) = match class {
                Class::Any => (Some(0), 1),
                Class::Byte(byte) => (memchr(byte, chunk), 16),
                Class::Set(number) => {
                    let set = &self.sets[number as usize];
                    (chunk.iter().position(|&byte| set.contains(byte)), 1)
                }
            };
            work.spend(found.unwrap_or(chunk.len()) / bytes_per_step)?;
            if let Some(place) = found {
                return Ok(Some(at + place));
            }
            at += chunk.len();
        }
        Ok(None)
    }

    /// How many bytes of a class there are at `start`.
    #[inline(always)]
    fn run(&self, work: &mut Work<'_>, class: Class, text: &[u8], start: usize) -> Result<usize, Stopped> {
        let mut at = start;
        loop {
            let chunk = &text[at..text.len().min(at + CHUNK_BYTES)];
            let other = match class {
                Class::Any => return Ok(text.len() - start),
                Class::Byte(byte) => chunk.iter().position(|&other| other != byte),
                Class::Set(number) => {
                    let set = &self.sets[number as usize];
                    chunk.iter().position(|&byte| !set.contains(byte))
                }
            };
            let count = other.unwrap_or(chunk.len());
            work.spend(count)?;
            at += count;
            if count < chunk.len() || chunk.is_empty() {
                return Ok(at - start);
            }
        }
    }

    #[inline(always)]
    fn is_at(&self, class: Class, text: &[u8], at: usize) -> bool {
        match (text.get(at), class) {
            (None, _) => false,
            (Some(_), Class::Any) => true,
            (Some(&byte), Class::Byte(other)) => byte == other,
            (Some(&byte), Class::Set(number)) => self.sets[number as usize].contains(byte),
        }
    }

    /// Where the match at `start` ends, if there is one.
    fn match_at(&mut self, work: &mut Work<'_>, text: &[u8], start: usize) -> Result<Option<usize>, Ended> {
        self.frames.clear();
        let mut at = start;
        let mut next = 0;
        loop {
            work.spend(1)?;
            let goes_on = match self.operations[next] {
                Operation::One(class) => {
                    let is_there = self.is_at(class, text, at);
                    at += 1;
                    is_there
                }
                Operation::Optional(class) => {
                    if self.is_at(class, text, at) {
                        self.push(next, at, at + 1);
                        at += 1;
                    }
                    true
                }
                Operation::Most { class, at_least, .. } => {
                    let count = self.run(work, class, text, at)?;
                    let low = at + usize::from(at_least);
                    at += count;
                    if at > low {
                        self.push(next, low, at);
                    }
                    at >= low
                }
                Operation::Least { .. } => {
                    self.push(next, at, at);
                    true
                }
                Operation::Open(capture) => {
                    self.ranges[usize::from(capture)].0 = at as u32;
                    true
                }
                Operation::Position(capture) => {
                    self.ranges[usize::from(capture)].0 = at as u32;
                    true
                }
                Operation::Close(capture) => {
                    self.ranges[usize::from(capture)].1 = at as u32;
                    true
                }
                Operation::Balanced(opening, closing) => match balanced(work, opening, closing, text, at)? {
                    Some(end) => {
                        at = end;
                        true
                    }
                    None => false,
                },
                Operation::Frontier(number) => {
                    let set = &self.sets[number as usize];
                    let before = if at == 0 { 0 } else { text[at - 1] };
                    !set.contains(before) && set.contains(text.get(at).copied().unwrap_or(0))
                }
                Operation::Same { capture, is_position } => {
                    let (from, to) = self.ranges[usize::from(capture)];
                    if is_position {
                        false
                    } else {
                        let earlier = &text[from as usize..to as usize];
                        work.spend(earlier.len() / 16)?;
                        let is_there = text[at..].starts_with(earlier);
                        at += earlier.len();
                        is_there
                    }
                }
                Operation::End => at == text.len(),
                Operation::Fail(fault) => return Err(Ended::Fault(fault)),
                Operation::Done => return Ok(Some(at)),
            };
            if goes_on {
                next += 1;
                continue;
            }
            match self.go_back(work, text)? {
                Some(choice) => (next, at) = choice,
                None => return Ok(None),
            }
        }
    }

    #[inline(always)]
    fn push(&mut self, operation: usize, low: usize, high: usize) {
        self.frames.push(Frame { operation: operation as u32, low: low as u32, high: high as u32 });
    }

    /// The last choice that is left: the operation to go on with, and where in the text.
    #[inline(always)]
    fn go_back(&mut self, work: &mut Work<'_>, text: &[u8]) -> Result<Option<(usize, usize)>, Stopped> {
        while let Some(&Frame { operation, low, high }) = self.frames.last() {
            work.spend(1)?;
            let operation = operation as usize;
            if let Operation::Least { class, follower } = self.operations[operation] {
                let at = high as usize;
                let taken = match (class, follower) {
                    // The text may be long, and the byte that must follow far away.
                    (Class::Any, Some(byte)) => {
                        self.next_of(work, Class::Byte(byte), text, at + 1)?.map(|place| place - at)
                    }
                    _ => self.is_at(class, text, at).then_some(1),
                };
                match taken {
                    Some(count) => {
                        let at = at + count;
                        self.frames.last_mut().expect("it was just seen").high = at as u32;
                        return Ok(Some((operation + 1, at)));
                    }
                    None => self.frames.pop(),
                };
                continue;
            }
            let (low, mut at) = (low as usize, high as usize - 1);
            let follower = match self.operations[operation] {
                Operation::Most { follower, .. } => follower,
                _ => None,
            };
            if let Some(byte) = follower {
                let from = low.max(at.saturating_sub(CHUNK_BYTES));
                let place = memrchr(byte, &text[from..=at]);
                work.spend((at - place.map_or(from, |place| from + place)) / 16)?;
                match place {
                    Some(place) => at = from + place,
                    None if from > low => {
                        self.frames.last_mut().expect("it was just seen").high = from as u32;
                        continue;
                    }
                    None => {
                        self.frames.pop();
                        continue;
                    }
                }
            }
            if at == low {
                self.frames.pop();
            } else {
                self.frames.last_mut().expect("it was just seen").high = at as u32;
            }
            return Ok(Some((operation + 1, at)));
        }
        Ok(None)
    }
}

/// The end of a text that is balanced in two bytes.
fn balanced(
    work: &mut Work<'_>,
    opening: u8,
    closing: u8,
    text: &[u8],
    start: usize,
) -> Result<Option<usize>, Stopped> {
    if text.get(start) != Some(&opening) {
        return Ok(None);
    }
    let mut depth = 1_usize;
    for (index, &byte) in text[start + 1..].iter().enumerate() {
        if byte == closing {
            depth -= 1;
            if depth == 0 {
                work.spend(index % 64)?;
                return Ok(Some(start + index + 2));
            }
        } else if byte == opening {
            depth += 1;
        }
        if index % 64 == 63 {
            work.spend(64)?;
        }
    }
    Ok(None)
}

/// Where the set that starts at `start` ends. Its first character is in it, also if it is a bracket.
fn end_of_set(source: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + 1;
    if source.get(at) == Some(&b'^') {
        at += 1;
    }
    loop {
        let &byte = source.get(at).ok_or(Fault::MissingBracket)?;
        at += 1;
        if byte == b'%' && at < source.len() {
            at += 1;
        }
        match source.get(at) {
            Some(b']') => return Ok(at + 1),
            Some(_) => {}
            None => return Err(Fault::MissingBracket),
        }
    }
}

/// The set that a text in brackets means.
fn bracketed(text: &[u8]) -> Set {
    let close = text.len() - 1;
    let is_negated = text[1] == b'^';
    let mut set = Set([0; 4]);
    let mut add = |contains: &dyn Fn(u8) -> bool| {
        let more = Set::of(contains);
        set.0.iter_mut().zip(more.0).for_each(|(word, more)| *word |= more);
    };
    let mut at = if is_negated { 2 } else { 1 };
    while at < close {
        let byte = text[at];
        if byte == b'%' {
            // After a range that ended with one, this can be the bracket that closes.
            let letter = text[at + 1];
            add(&|other| in_class(letter, other));
            at += 2;
        } else if text[at + 1] == b'-' && at + 2 < close {
            let last = text[at + 2];
            add(&|other| (byte..=last).contains(&other));
            at += 3;
        } else {
            add(&|other| other == byte);
            at += 1;
        }
    }
    if is_negated { Set(set.0.map(|word| !word)) } else { set }
}

/// Does this letter mean a class after a percent sign?
fn is_class(letter: u8) -> bool {
    matches!(letter.to_ascii_lowercase(), b'a' | b'c' | b'd' | b'l' | b'p' | b's' | b'u' | b'w' | b'x' | b'z')
}

fn in_class(letter: u8, byte: u8) -> bool {
    let is_in = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == letter,
    };
    is_in != letter.is_ascii_uppercase()
}

/// The compiled patterns of one VM.
#[derive(Debug)]
pub(in crate::script) struct Patterns {
    kept: [Option<Box<Pattern>>; KEPT],
    /// One that is too long to be kept, while it is used.
    long: Option<Box<Pattern>>,
}

impl Patterns {
    pub(in crate::script) fn new() -> Self {
        Patterns { kept: [const { None }; KEPT], long: None }
    }

    /// The compiled form of a pattern. It stands until the next one is asked for.
    #[inline(always)]
    pub(super) fn of(&mut self, source: &[u8], work: &mut Work<'_>) -> Result<&mut Pattern, Stopped> {
        // Where the text lies tells enough of it: Lua has each string once.
        let place = source.as_ptr().addr();
        let slot =
            if source.len() <= KEPT_BYTES_MAX { &mut self.kept[(place ^ place >> 6) % KEPT] } else { &mut self.long };
        let is_known = slot.as_ref().is_some_and(|pattern| *pattern.source == *source);
        if !is_known {
            *slot = Some(Pattern::new(source, work)?);
        }
        Ok(slot.as_mut().expect("it is there by now"))
    }

    /// Forgets what is too long to be kept.
    pub(super) fn forget_long(&mut self) {
        self.long = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::room::Room;

    fn find(text: &[u8], source: &[u8]) -> Result<Option<(usize, usize)>, Ended> {
        let room = Room::alone(1 << 20);
        let mut work = Work::new(&room);
        let only_there = source.starts_with(b"^");
        let mut pattern = Pattern::new(&source[usize::from(only_there)..], &mut work)?;
        pattern.find(&mut work, text, 0, only_there)
    }

    #[test]
    fn items_match_what_they_should() {
        for (text, pattern, expected) in [
            (&b"hello world"[..], &b"o w"[..], Some((4, 7))),
            (b"hello", b"l+", Some((2, 4))),
            (b"hello", b"l-o", Some((2, 5))),
            (b"hello", b"^h.*o$", Some((0, 5))),
            (b"hello", b"^e", None),
            (b"hello", b"xl*", None),
            (b"hello", b"x?h", Some((0, 1))),
            (b"aXb", b"%u", Some((1, 2))),
            (b"f(a(b)c)d", b"%b()", Some((1, 8))),
            (b"f(a(b)c", b"%b()", Some((3, 6))),
            (b"the cat", b"%f[%w]%a+$", Some((4, 7))),
            (b"a\0b", b"%z", Some((1, 2))),
            (b"a\0b", b".\0x", Some((0, 1))),
            (b"a]b", b"[]]", Some((1, 2))),
            (b"a-b", b"[a-]+", Some((0, 2))),
            (b"xyxy", b"(x)(y)%1%2", Some((0, 4))),
            (b"xyx", b"()x%1", None),
            (b"key=value", b"(%w+)=(%w+)", Some((0, 9))),
            (b"aaab", b"a-b", Some((0, 4))),
            (b"", b"", Some((0, 0))),
            (b"", b"a*$", Some((0, 0))),
        ] {
            assert_eq!(find(text, pattern), Ok(expected), "{}", pattern.escape_ascii());
        }
    }

    #[test]
    fn faults_show_when_the_matching_gets_there() {
        for (text, pattern, expected) in [
            (&b"a"[..], &b"a%"[..], Err(Ended::Fault(Fault::EndsWithPercent))),
            (b"b", b"a%", Ok(None)),
            (b"a", b"[a", Err(Ended::Fault(Fault::MissingBracket))),
            (b"a", b"[a%]", Err(Ended::Fault(Fault::MissingBracket))),
            (b"a", b"%fa", Err(Ended::Fault(Fault::MissingBracketAfterF))),
            (b"a", b"%bx", Err(Ended::Fault(Fault::Unbalanced))),
            (b"a", b"a)", Err(Ended::Fault(Fault::PatternCapture))),
            (b"a", b"%1", Err(Ended::Fault(Fault::CaptureIndex))),
            (b"a", b"(a%1)", Err(Ended::Fault(Fault::CaptureIndex))),
            (b"a", &b"()".repeat(33), Err(Ended::Fault(Fault::TooManyCaptures))),
        ] {
            assert_eq!(find(text, pattern), expected, "{}", pattern.escape_ascii());
        }
    }

    /// The frames are one per item, not one per character.
    #[test]
    fn backtracking_takes_little_memory() {
        let room = Room::alone(1 << 20);
        let mut work = Work::new(&room);
        let mut pattern = Pattern::new(b"a*a-[a]*a?b", &mut work).unwrap();
        assert_eq!(pattern.find(&mut work, &[b'a'; 100], 0, false), Ok(None));
        assert!(pattern.frames.capacity() <= 4);
        let end = pattern.find(&mut work, b"aaab", 0, false);
        assert_eq!(end, Ok(Some((0, 4))));
    }
}
