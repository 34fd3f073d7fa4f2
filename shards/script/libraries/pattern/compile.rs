//! A pattern read once, into the operations that the matching follows.

use super::operation::{Class, First, Operation};
use super::set::{Set, bracketed, in_class, is_class};
use super::{CAPTURES_MAX, Fault, Kind, Pattern};
use crate::script::work::{Stopped, Work};
use memchr::memchr;

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
