//! Redis's glob patterns, as KEYS, SCAN, CONFIG GET and PSUBSCRIBE read them.
//!
//! Every token but `*` takes exactly one byte, so going back to the last `*` alone is enough: the time is bounded by the
//! product of both lengths, whatever the pattern.

/// Whether letters of different case are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// `a` is not `A`: keys and channels.
    Sensitive,
    /// `a` is `A` (ASCII only): names of settings.
    Insensitive,
}

/// Whether `text` as a whole matches `pattern`.
///
/// `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one byte of a class, `\x` the byte `x` itself. An unclosed class ends
/// with the pattern, a range may be given backwards: as in Redis.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let mut at_pattern = 0;
    let mut at_text = 0;
    // Where to go on when what follows the last `*` does not match: after the star, and one byte further in the text.
    let mut last_star: Option<(usize, usize)> = None;
    loop {
        if at_pattern < pattern.len() && pattern[at_pattern] == b'*' {
            at_pattern += 1;
            last_star = Some((at_pattern, at_text));
            continue;
        }
        if at_text == text.len() {
            // Going back would only leave the rest of the pattern still less text.
            return at_pattern == pattern.len();
        }
        if let Some(next) = match_one(pattern, at_pattern, text[at_text], case) {
            at_pattern = next;
            at_text += 1;
            continue;
        }
        let Some((after_star, star_text)) = last_star else {
            return false;
        };
        at_pattern = after_star;
        at_text = star_text + 1;
        last_star = Some((after_star, at_text));
    }
}

/// Whether the pattern has anything but literal bytes in it.
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Matches the token at `at` (which is not a `*`) with one byte; where the next token starts, if it matched.
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match_class(pattern, at + 1, byte, case),
        b'\\' if at + 1 < pattern.len() => same(pattern[at + 1], byte, case).then_some(at + 2),
        literal => same(literal, byte, case).then_some(at + 1),
    }
}

/// Matches a class whose body starts at `at`.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, case: Case) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    while at < pattern.len() {
        let left = pattern.len() - at;
        if pattern[at] == b'\\' && left >= 2 {
            // An escaped byte in a class is compared as it is, whatever the case.
            at += 1;
            found |= pattern[at] == byte;
        } else if pattern[at] == b']' {
            break;
        } else if left >= 3 && pattern[at + 1] == b'-' {
            let (first, last) = (fold(pattern[at], case), fold(pattern[at + 2], case));
            found |= (first.min(last)..=first.max(last)).contains(&fold(byte, case));
            at += 2;
        } else {
            found |= same(pattern[at], byte, case);
        }
        at += 1;
    }
    // Past the closing bracket, or at the end where there is none.
    (found != negated).then_some((at + 1).min(pattern.len()))
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

fn same(left: u8, right: u8, case: Case) -> bool {
    fold(left, case) == fold(right, case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(check("*", ""));
        assert!(check("***", "anything"));
        assert!(check("", ""));
        assert!(!check("", "a"));
        assert!(!check("a", ""));
        assert!(!check("?", ""));
        assert!(check("h?llo", "hello"));
        assert!(!check("h?llo", "hllo"));
        assert!(check("h*llo", "hllo"));
        assert!(check("h*llo", "heeeello"));
        assert!(check("*ab*ab", "abxab"));
        assert!(!check("*ab*abc", "abxab"));
        assert!(check("a*b*", "ab"));
        assert!(check("*?", "x"));
        assert!(!check("*?", ""));
    }

    #[test]
    fn classes() {
        assert!(check("h[ae]llo", "hallo"));
        assert!(!check("h[ae]llo", "hillo"));
        assert!(!check("h[^e]llo", "hello"));
        assert!(check("h[^e]llo", "hbllo"));
        assert!(check("h[a-c]llo", "hbllo"));
        assert!(check("h[c-a]llo", "hbllo"), "a range may be backwards");
        assert!(check("*[0-9]", "key:17"));
        assert!(!check("[]x", "x"), "an empty class matches no byte");
        assert!(check("[^]x", "yx"), "an empty class, negated, matches any byte");
    }

    #[test]
    fn odd_classes_are_read_as_redis_reads_them() {
        assert!(check("[abc", "b"), "an unclosed class ends with the pattern");
        assert!(!check("[abc", "d"));
        assert!(!check("[", "["));
        assert!(check("[^", "x"));
        assert!(check("[a-]", "]"), "`a-]` is a range up to the bracket");
        assert!(check("[a-]", "^"), "between `]` and `a`");
        assert!(!check("[a-]", "-"));
        assert!(check("[\\]]", "]"));
        assert!(check("[a\\-z]", "-"));
        assert!(!check("[a\\-z]", "m"));
        assert!(check("[\\", "\\"), "a lone backslash in a class is itself");
    }

    #[test]
    fn escapes() {
        assert!(check("\\*", "*"));
        assert!(!check("\\*", "a"));
        assert!(check("a\\?b", "a?b"));
        assert!(check("a\\", "a\\"), "a backslash at the end is itself");
        assert!(check("\\\\", "\\"));
        assert!(check("*\\*", "ab*"));
    }

    #[test]
    fn case_is_folded_only_when_asked() {
        assert!(!check("ABC", "abc"));
        assert!(matches(b"MAX*", b"maxmemory", Case::Insensitive));
        assert!(matches(b"[A-Z]", b"q", Case::Insensitive));
        assert!(matches(b"\\A", b"a", Case::Insensitive));
        assert!(!matches(b"[\\A]", b"a", Case::Insensitive), "an escaped byte in a class is not folded");
    }

    #[test]
    fn bytes_that_are_no_text_match_as_bytes() {
        assert!(matches(&[0xff, b'*', 0x00], &[0xff, 1, 2, 0x00], Case::Sensitive));
        assert!(matches(&[b'[', 0x80, b'-', 0xff, b']'], &[0xc3], Case::Sensitive));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "a*".repeat(2_000) + "b";
        let text = "a".repeat(20_000);
        assert!(!check(&pattern, &text));
        assert!(check(&(pattern + "*"), &(text + "b")));
    }

    #[test]
    fn only_wildcards_make_a_pattern() {
        assert!(is_pattern(b"a*") && is_pattern(b"?") && is_pattern(b"[a"));
        assert!(!is_pattern(b"max\\memory") && !is_pattern(b""));
    }
}
