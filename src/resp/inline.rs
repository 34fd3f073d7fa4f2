//! Inline commands: a line of words, as a person types it.

/// The line's quotes do not close, or something follows right behind a closing one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Where the splitter is within a word.
#[derive(Clone, Copy)]
enum Quote {
    None,
    Single,
    Double,
}

/// Splits a line (without its end) into words, unquoted. The bytes of the words are appended to `side`; `word` is called with
/// each word's range in it. Double quotes know `\n \r \t \b \a \xHH` and take any other escaped byte for itself; single
/// quotes know `\'`.
pub(super) fn split(line: &[u8], side: &mut Vec<u8>, mut word: impl FnMut(usize, usize)) -> Result<(), Unbalanced> {
    let at = |position: usize| line.get(position).copied();
    let mut position = 0;
    loop {
        while at(position).is_some_and(is_blank) {
            position += 1;
        }
        if position == line.len() {
            return Ok(());
        }
        let start = side.len();
        let mut quote = Quote::None;
        loop {
            let byte = at(position);
            match (quote, byte) {
                (Quote::None, None) => break,
                (_, None) => return Err(Unbalanced),
                // A form feed or a vertical tab parts words only in front of one; Redis has it so.
                (Quote::None, Some(b' ' | b'\n' | b'\r' | b'\t')) => break,
                (Quote::None, Some(b'"')) => quote = Quote::Double,
                (Quote::None, Some(b'\'')) => quote = Quote::Single,
                (Quote::Double, Some(b'"')) | (Quote::Single, Some(b'\'')) => {
                    position += 1;
                    if at(position).is_some_and(|next| !is_blank(next)) {
                        return Err(Unbalanced);
                    }
                    break;
                }
                (Quote::Double, Some(b'\\')) if position + 1 < line.len() => {
                    position += 1;
                    let hex = (at(position + 1).and_then(hex_digit), at(position + 2).and_then(hex_digit));
                    match (line[position], hex) {
                        (b'x', (Some(high), Some(low))) => {
                            side.push(high << 4 | low);
                            position += 2;
                        }
                        (escaped, _) => side.push(unescape(escaped)),
                    }
                }
                (Quote::Single, Some(b'\\')) if at(position + 1) == Some(b'\'') => {
                    position += 1;
                    side.push(b'\'');
                }
                (_, Some(byte)) => side.push(byte),
            }
            position += 1;
        }
        word(start, side.len());
    }
}

/// What C's `isspace` holds for a blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut side, mut ranges) = (Vec::new(), Vec::new());
        split(line, &mut side, |start, end| ranges.push((start, end))).ok()?;
        Some(ranges.into_iter().map(|(start, end)| side[start..end].to_vec()).collect())
    }

    fn expect(line: &[u8], wanted: &[&[u8]]) {
        assert_eq!(
            words(line).as_deref(),
            Some(&wanted.iter().map(|word| word.to_vec()).collect::<Vec<_>>()[..]),
            "{line:?}"
        );
    }

    #[test]
    fn splits_as_redis_does() {
        expect(b"", &[]);
        expect(b" \t\x0b\x0c ", &[]);
        expect(b"set  key value ", &[b"set", b"key", b"value"]);
        expect(b"\"\" ''", &[b"", b""]);
        expect(br#""\x41\xfF\n\r\t\b\a\q\"\\""#, &[b"A\xff\n\r\t\x08\x07q\"\\"]);
        expect(br#""\xZZ\x4""#, &[b"xZZx4"]);
        expect(br#"'\n\'' x"#, &[br"\n'", b"x"]);
        expect(br#"key"a b" 'c d'"#, &[b"keya b", b"c d"]);
        expect(b"a\x0bb c\x0c", &[b"a\x0bb", b"c\x0c"]);
        expect(br"\x41", &[br"\x41"]);
    }

    #[test]
    fn refuses_what_redis_refuses() {
        for line in [&b"\"a"[..], b"'a", b"\"a\"b", b"'a'b", b"\"a\\", b"'a\\'", b"\"a\"\"b\""] {
            assert_eq!(words(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(wanted in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..5)) {
            let mut line = Vec::new();
            for word in &wanted {
                line.push(b'"');
                for byte in word {
                    line.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
                }
                line.extend_from_slice(b"\" ");
            }
            prop_assert_eq!(words(&line), Some(wanted));
        }

        #[test]
        fn any_line_is_survived(line in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\''), Just(b'\\'), Just(b'x'), Just(b' '), any::<u8>()], 0..40)) {
            words(&line);
        }
    }
}
