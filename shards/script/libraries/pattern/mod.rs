//! The patterns of Lua 5.1, compiled once and matched without recursion.
//!
//! A pattern has no alternatives and no groups that repeat: its operations are a straight line. A repeated item is thus under way at most
//! once, and its choices are one range of places to go on from: backtracking needs one frame per item, however long the text is. Captures
//! need no undoing either: whatever goes on after a choice sets those that follow again.
//!
//! A pattern is looked at as far as the matching gets, as in Lua: what is wrong behind that place does not matter. And it ends at its
//! first zero byte.

mod compile;
mod kept;
mod matching;
mod operation;
mod set;

pub(in crate::script) use kept::Patterns;

use crate::script::work::Stopped;
use matching::Frame;
use operation::{First, Operation};
use set::Set;

/// Captures of one pattern.
const CAPTURES_MAX: usize = 32;

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::room::Room;
    use crate::script::work::Work;

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
