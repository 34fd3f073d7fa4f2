//! Looking for a pattern in a text, with a frame for each item that has choices left.

use super::operation::{Class, First, Operation};
use super::{Ended, Pattern};
use crate::script::work::{Stopped, Work};
use memchr::{memchr, memrchr};

/// Bytes that are looked at between two counts of steps.
const CHUNK_BYTES: usize = 16 << 10;

/// The choices of one item that repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The item.
    operation: u32,
    low: u32,
    high: u32,
}

impl Pattern {
    /// The first match at or after `start`, or only there.
    pub(in crate::script::libraries) fn find(
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
