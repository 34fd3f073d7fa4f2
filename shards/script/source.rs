//! A script's text: its digest, and what its first line may say about it (`#!lua flags=no-writes`).

use std::fmt;

/// Hexadecimal digits of a script's SHA1.
pub const DIGEST_BYTES: usize = 40;

/// A script's SHA1, as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptDigest([u8; DIGEST_BYTES]);

/// What a run is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Running {
    /// A script.
    Script(ScriptDigest),
    /// A library's function, by its name.
    Function(Box<[u8]>),
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Running::Script(digest) => write!(f, "script {digest}"),
            Running::Function(name) => write!(f, "function {}", name.escape_ascii()),
        }
    }
}

impl ScriptDigest {
    /// The digest of a text.
    pub fn of(source: &[u8]) -> Self {
        ScriptDigest(hexadecimal(sha1_smol::Sha1::from(source).digest().bytes()))
    }

    /// Reads what a client sent, in either case; `None` if it is no digest.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut digits: [u8; DIGEST_BYTES] = text.try_into().ok()?;
        for digit in &mut digits {
            if !digit.is_ascii_hexdigit() {
                return None;
            }
            digit.make_ascii_lowercase();
        }
        Some(ScriptDigest(digits))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Debug for ScriptDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ScriptDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn hexadecimal(bytes: [u8; 20]) -> [u8; DIGEST_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; DIGEST_BYTES];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// What a script says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScriptFlags {
    /// It has a `#!lua` line. Without one a script has none of the flags, and Redis treats it by its older rules.
    pub declared: bool,
    /// It never writes; a write in it is refused.
    pub no_writes: bool,
    /// It may run when memory is short, and write.
    pub allow_oom: bool,
    /// It may run on data that is known to be stale.
    pub allow_stale: bool,
    /// It may not run on a cluster.
    pub no_cluster: bool,
    /// It may use keys of several slots.
    pub allow_cross_slot_keys: bool,
}

impl ScriptFlags {
    /// Sets the flag of this name; whether there is one.
    pub(super) fn set(&mut self, name: &[u8]) -> bool {
        match name {
            b"no-writes" => self.no_writes = true,
            b"allow-oom" => self.allow_oom = true,
            b"allow-stale" => self.allow_stale = true,
            b"no-cluster" => self.no_cluster = true,
            b"allow-cross-slot-keys" => self.allow_cross_slot_keys = true,
            _ => return false,
        }
        true
    }

    /// The names of the flags that are set, in Redis's order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.no_writes, "no-writes"),
            (self.allow_oom, "allow-oom"),
            (self.allow_stale, "allow-stale"),
            (self.no_cluster, "no-cluster"),
            (self.allow_cross_slot_keys, "allow-cross-slot-keys"),
        ];
        all.into_iter().filter_map(|(is_set, name)| is_set.then_some(name))
    }
}

/// Whether LuaJIT would skip what the text begins with: a # with the rest of its line, or the mark of an encoding.
pub(super) fn is_skipped(text: &[u8]) -> bool {
    text.starts_with(b"#") || text.starts_with(b"\xef\xbb\xbf")
}

/// Reads the flags and says where the Lua text starts: at the line break that ends the first line, so that line numbers stay
/// right. The error is what the client reads.
pub(super) fn parse_shebang(source: &[u8]) -> Result<(ScriptFlags, &[u8]), Vec<u8>> {
    if !source.starts_with(b"#!") {
        return Ok((ScriptFlags::default(), source));
    }
    let line_end = source.iter().position(|&byte| byte == b'\n').ok_or(b"ERR Invalid script shebang")?;
    let words = split_words(&source[..line_end]).filter(|words| !words.is_empty());
    let words = words.ok_or(b"ERR Invalid engine in script shebang")?;
    if words[0] != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", &words[0][..]].concat());
    }
    let mut flags = ScriptFlags { declared: true, ..ScriptFlags::default() };
    for word in &words[1..] {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", &word[..]].concat());
        };
        // No flags at all are none; an empty one among others is unknown, as in Redis.
        for name in names.split(|&byte| byte == b',').filter(|_| !names.is_empty()) {
            if !flags.set(name) {
                return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
            }
        }
    }
    Ok((flags, &source[line_end..]))
}

/// Splits a line into words as Redis's configuration lines are split: by blanks, with quotes of both kinds. `None` if a quote is
/// not closed or is closed inside a word.
pub(super) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [blank, ..] if blank.is_ascii_whitespace() || *blank == 0 => break,
                [quote @ (b'"' | b'\''), tail @ ..] => {
                    let after = read_quoted(tail, *quote, &mut word)?;
                    if after.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                        return None;
                    }
                    rest = after;
                    break;
                }
                [byte, tail @ ..] => {
                    word.push(*byte);
                    rest = tail;
                }
            }
        }
        words.push(word);
    }
}

fn read_quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [byte, tail @ ..] if *byte == quote => return Some(tail),
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest = tail;
            }
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
                word.push(digit(*high) << 4 | digit(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_either_case() {
        let digest = ScriptDigest::of(b"");
        assert_eq!(digest.as_str(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(ScriptDigest::parse(b"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"), Some(digest));
        assert_eq!(ScriptDigest::parse(b"da39"), None);
        assert_eq!(ScriptDigest::parse(b"zz39a3ee5e6b4b0d3255bfef95601890afd80709"), None);
    }

    #[test]
    fn flags_are_read_from_the_first_line() {
        let (flags, text) = parse_shebang(b"#!lua flags=no-writes,allow-oom flags=allow-stale\nreturn 1").unwrap();
        assert_eq!(text, b"\nreturn 1");
        assert!(flags.declared && flags.no_writes && flags.allow_oom && flags.allow_stale);
        assert!(!flags.no_cluster && !flags.allow_cross_slot_keys);
        assert_eq!(parse_shebang(b"return 1").unwrap(), (ScriptFlags::default(), &b"return 1"[..]));
        assert!(parse_shebang(b"#!lua \"flags=no-writes\"\n").unwrap().0.no_writes);
        assert!(!parse_shebang(b"#!lua flags=\n").unwrap().0.no_writes);
    }

    #[test]
    fn a_bad_first_line_is_refused_in_redis_words() {
        for (source, error) in [
            ("#!lua", "ERR Invalid script shebang"),
            ("#!\nreturn 1", "ERR Unexpected engine in script shebang: #!"),
            ("#!python\nreturn 1", "ERR Unexpected engine in script shebang: #!python"),
            ("#!lua flags=foo\nreturn 1", "ERR Unexpected flag in script shebang: foo"),
            ("#!lua flags=no-writes,\nreturn 1", "ERR Unexpected flag in script shebang: "),
            ("#!lua flags=,no-writes\nreturn 1", "ERR Unexpected flag in script shebang: "),
            ("#!lua name=x\nreturn 1", "ERR Unknown lua shebang option: name=x"),
            ("#!lua 'flags=no-writes\nreturn 1", "ERR Invalid engine in script shebang"),
            ("#!lua 'flags=no-writes'x\nreturn 1", "ERR Invalid engine in script shebang"),
        ] {
            assert_eq!(parse_shebang(source.as_bytes()).unwrap_err(), error.as_bytes(), "{source}");
        }
    }
}
