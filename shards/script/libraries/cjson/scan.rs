//! JSON's tokens.

use super::super::super::room::Room;
use super::super::output::Output;
use super::super::trouble::Trouble;
use super::numeral;

/// Characters of a string between two looks at the clock.
const PIECE_BYTES: usize = 4096;
/// Steps that a token costs beside its bytes.
const TOKEN_STEPS: usize = 8;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Place),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// No token; this is what is wrong.
    Bad(&'static str),
}

/// Where a string's bytes are, until the next token is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In the text, as they are.
    Text { start: usize, end: usize },
    /// In the scanner: it had escapes.
    Unescaped,
}

impl Token {
    /// What error texts call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Bad(problem) => problem,
        }
    }
}

/// Reads a text token by token. A zero byte ends it like its end, as in the original, whose texts are C strings.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    token_at: usize,
    accepts_invalid_numbers: bool,
    unescaped: Output<'a>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], accepts_invalid_numbers: bool, room: &'a Room) -> Self {
        Scanner { text, at: 0, token_at: 0, accepts_invalid_numbers, unescaped: Output::new(room) }
    }

    /// Characters that have been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the last token starts, or where the mistake is that makes it none.
    pub(super) fn token_at(&self) -> usize {
        self.token_at
    }

    /// The bytes of the last token, a string.
    pub(super) fn string(&self, place: Place) -> &[u8] {
        match place {
            Place::Text { start, end } => &self.text[start..end],
            Place::Unescaped => self.unescaped.as_bytes(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Token, Trouble> {
        self.unescaped.spend(TOKEN_STEPS)?;
        while let b' ' | b'\t' | b'\n' | b'\r' = self.byte(0) {
            self.unescaped.spend(1)?;
            self.at += 1;
        }
        self.token_at = self.at;
        let token = match self.byte(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.scan_string(),
            b'-' | b'0'..=b'9' if !self.accepts_invalid_numbers && self.has_invalid_number() => {
                return Ok(Token::Bad("invalid number"));
            }
            b'-' | b'0'..=b'9' => return self.scan_number(),
            0 => return Ok(Token::End),
            _ if self.take_word(b"true") => return Ok(Token::Boolean(true)),
            _ if self.take_word(b"false") => return Ok(Token::Boolean(false)),
            _ if self.take_word(b"null") => return Ok(Token::Null),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.accepts_invalid_numbers && self.has_invalid_number() => {
                return self.scan_number();
            }
            _ => return Ok(Token::Bad("invalid token")),
        };
        self.at += 1;
        Ok(token)
    }

    /// The byte so far ahead; zero past the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn take_word(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Is here what is a number to C and none to JSON?
    fn has_invalid_number(&self) -> bool {
        if self.byte(0) == b'+' {
            return true;
        }
        let rest = &self.text[self.at + usize::from(self.byte(0) == b'-')..];
        match rest {
            [b'0', next, ..] => next.is_ascii_digit() || matches!(next, b'x' | b'X'),
            [a, b, c, ..] => [b"inf", b"nan"].iter().any(|word| word.eq_ignore_ascii_case(&[*a, *b, *c])),
            _ => false,
        }
    }

    fn scan_number(&mut self) -> Result<Token, Trouble> {
        Ok(match numeral::read(&self.text[self.at..], &mut self.unescaped)? {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Bad("invalid number"),
        })
    }

    fn scan_string(&mut self) -> Result<Token, Trouble> {
        self.at += 1;
        let start = self.at;
        self.skip_plain()?;
        if self.byte(0) == b'"' {
            let end = self.at;
            self.at += 1;
            return Ok(Token::String(Place::Text { start, end }));
        }
        self.unescaped.clear();
        self.unescaped.push(&self.text[start..self.at])?;
        loop {
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    return Ok(Token::String(Place::Unescaped));
                }
                b'\\' => {
                    if let Err(problem) = self.escape()? {
                        self.token_at = self.at;
                        return Ok(Token::Bad(problem));
                    }
                }
                0 => {
                    self.token_at = self.at;
                    return Ok(Token::Bad("unexpected end of string"));
                }
                _ => {
                    let start = self.at;
                    self.skip_plain()?;
                    self.unescaped.push(&self.text[start..self.at])?;
                }
            }
        }
    }

    /// Goes to the next byte that is not for itself in a string.
    fn skip_plain(&mut self) -> Result<(), Trouble> {
        for piece in self.text[self.at..].chunks(PIECE_BYTES) {
            let count = piece.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0)).count();
            self.unescaped.spend(count)?;
            self.at += count;
            if count < piece.len() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the escape at the current place; a wrong one is left there.
    fn escape(&mut self) -> Result<Result<(), &'static str>, Trouble> {
        let byte = match self.byte(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let Some((character, len)) = self.unicode() else {
                    return Ok(Err("invalid unicode escape code"));
                };
                self.at += len;
                self.unescaped.push(character.encode_utf8(&mut [0; 4]).as_bytes())?;
                return Ok(Ok(()));
            }
            _ => return Ok(Err("invalid escape code")),
        };
        self.at += 2;
        self.unescaped.byte(byte)?;
        Ok(Ok(()))
    }

    /// The character of an escape, or of two that are a surrogate pair, and the length of its text.
    fn unicode(&self) -> Option<(char, usize)> {
        let first = self.hex(2)?;
        if let Some(character) = char::from_u32(first) {
            return Some((character, 6));
        }
        if first & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
            return None;
        }
        let second = self.hex(8)?;
        if second & 0xfc00 != 0xdc00 {
            return None;
        }
        Some((char::from_u32(0x1_0000 + ((first & 0x3ff) << 10 | second & 0x3ff))?, 12))
    }

    /// Four hexadecimal digits.
    fn hex(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |value, index| Some(value << 4 | char::from(self.byte(ahead + index)).to_digit(16)?))
    }
}
