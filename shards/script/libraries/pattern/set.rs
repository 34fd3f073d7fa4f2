//! Sets of bytes, as classes and brackets mean them.

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Set([u64; 4]);

impl Set {
    pub(super) fn of(contains: impl Fn(u8) -> bool) -> Self {
        let mut set = Set([0; 4]);
        for byte in (0..=u8::MAX).filter(|&byte| contains(byte)) {
            set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    #[inline(always)]
    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

/// The set that a text in brackets means.
pub(super) fn bracketed(text: &[u8]) -> Set {
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
pub(super) fn is_class(letter: u8) -> bool {
    matches!(letter.to_ascii_lowercase(), b'a' | b'c' | b'd' | b'l' | b'p' | b's' | b'u' | b'w' | b'x' | b'z')
}

pub(super) fn in_class(letter: u8, byte: u8) -> bool {
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
