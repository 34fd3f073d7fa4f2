//! A line's words, quoted as redis.conf and redis-cli quote them.

/// The quotes of a line do not balance, or a closing quote is followed by more of the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unbalanced;

/// Splits a line into words.
///
/// In double quotes `\n`, `\r`, `\t`, `\b`, `\a` and `\x41` are what they are in C, any other escaped byte is itself; in single
/// quotes only `\'` is an escape.
pub fn split_words(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(words);
        }
        let (word, after) = take_word(rest)?;
        words.push(word);
        rest = after;
    }
}

/// One word, and what follows it. `line` starts with the word.
fn take_word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut word = Vec::new();
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' | b'\n' | b'\r' | b'\t' | 0 => return Ok((word, &line[at + 1..])),
            quote @ (b'"' | b'\'') => {
                at = take_quoted(line, at + 1, quote, &mut word)?;
                // Whatever stands before an opening quote belongs to the word; a closing quote ends it.
                return match line.get(at) {
                    None => Ok((word, &[])),
                    Some(byte) if is_space(*byte) => Ok((word, &line[at + 1..])),
                    Some(_) => Err(Unbalanced),
                };
            }
            byte => word.push(byte),
        }
        at += 1;
    }
    Ok((word, &[]))
}

/// Appends what is between quotes to `word`; where the line goes on after the closing quote.
fn take_quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Result<usize, Unbalanced> {
    loop {
        match (line.get(at).ok_or(Unbalanced)?, line.get(at + 1)) {
            (byte, _) if *byte == quote => return Ok(at + 1),
            (b'\\', Some(b'\'')) if quote == b'\'' => {
                word.push(b'\'');
                at += 2;
            }
            (b'\\', Some(b'x')) if quote == b'"' && hex_pair(line, at + 2).is_some() => {
                word.extend(hex_pair(line, at + 2));
                at += 4;
            }
            (b'\\', Some(escaped)) if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                at += 2;
            }
            (byte, _) => {
                word.push(*byte);
                at += 1;
            }
        }
    }
}

fn hex_pair(line: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (high, low) = (digit(line.get(at)?)?, digit(line.get(at + 1)?)?);
    u8::try_from(high * 16 + low).ok()
}

/// What C's isspace says.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The word in double quotes, such that [`split_words`] gives it back.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in word {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            b'\t' => quoted.extend(b"\\t"),
            7 => quoted.extend(b"\\a"),
            8 => quoted.extend(b"\\b"),
            b' '..=b'~' => quoted.push(*byte),
            other => quoted.extend(format!("\\x{other:02x}").into_bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Result<Vec<String>, Unbalanced> {
        let words = split_words(line.as_bytes())?;
        Ok(words.iter().map(|word| String::from_utf8(word.clone()).unwrap()).collect())
    }

    #[test]
    fn words_are_split_at_spaces() {
        assert_eq!(split("save 900  1\t").unwrap(), ["save", "900", "1"]);
        assert_eq!(split("   ").unwrap(), [""; 0]);
        assert_eq!(split("a#b #c").unwrap(), ["a#b", "#c"], "a comment is only a line that starts with one");
    }

    #[test]
    fn quotes_hold_spaces_and_escapes() {
        assert_eq!(split(r#"requirepass "a b\"c\\""#).unwrap(), ["requirepass", "a b\"c\\"]);
        assert_eq!(split(r#"x "\x41\n\t\q\xzz""#).unwrap(), ["x", "A\n\tqxzz"]);
        assert_eq!(split(r#"x 'it\'s \n "'"#).unwrap(), ["x", "it's \\n \""]);
        assert_eq!(split(r#"save """#).unwrap(), ["save", ""]);
        assert_eq!(split(r#"pre"fix ed""#).unwrap(), ["prefix ed"]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"x "abc"#, r#"x 'abc"#, r#"x "abc"d"#, r#"x 'abc'd"#, r#"x "abc\""#, r#"""""#] {
            assert_eq!(split(line), Err(Unbalanced), "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(word: Vec<u8>) {
            prop_assert_eq!(split_words(&quote(&word)).unwrap(), vec![word]);
        }

        #[test]
        fn any_line_is_split_or_refused(line: Vec<u8>) {
            let _ = split_words(&line);
        }
    }
}
