//! Keeps `return redis.call(...)` from losing its line.
//!
//! LuaJIT runs a call in tail position in its caller's place, also when the callee is no Lua function: an error of `redis.call` would
//! then not know the line that Redis reports. Such a call always has one result, so putting it into parentheses changes nothing
//! but that: it is no tail call any more. Line breaks are untouched.

use std::borrow::Cow;

/// Puts parentheses around calls in tail position of `redis.call` and other library functions with one result, of locals that are
/// set to one (`local call = redis.call`), of `error`, which never returns, and of the base functions that refuse locked tables. Texts that do not parse stay as wrong as they are.
pub(super) fn keep_lines(source: &[u8]) -> Cow<'_, [u8]> {
    if !contains(source, b"return") {
        return Cow::Borrowed(source);
    }
    let tokens: Vec<Token> = Tokens { source, at: 0 }.collect();
    let text = |index: usize| tokens.get(index).map_or(&b""[..], |token: &Token| &source[token.start..token.end]);
    // In a library of many functions one may have a local `bit`; the others keep their lines.
    let shadowed: Vec<&[u8]> = (0..tokens.len()).filter(|&index| shadows(index, &text)).map(text).collect();
    let is_known = |index: usize| !shadowed.contains(&text(index));
    let mut aliases: Vec<&[u8]> = Vec::new();
    let mut marks: Vec<(usize, u8)> = Vec::new();
    for index in 0..tokens.len() {
        if text(index) == b"local"
            && text(index + 2) == b"="
            && is_raising(index + 3, &text)
            && is_known(index + 3)
            && text(index + 6) != b"("
        {
            aliases.push(text(index + 1));
        }
        if text(index) != b"return" || !is_known(index + 1) {
            continue;
        }
        let opening = if is_raising(index + 1, &text) {
            index + 4
        } else if is_raising_base(text(index + 1)) || aliases.contains(&text(index + 1)) {
            index + 2
        } else {
            continue;
        };
        if let Some(closing) = closing_parenthesis(opening, tokens.len(), &text)
            && matches!(text(closing + 1), b"" | b"end" | b";" | b"else" | b"elseif" | b"until")
        {
            marks.push((tokens[index + 1].start, b'('));
            marks.push((tokens[closing].end, b')'));
        }
    }
    if marks.is_empty() {
        return Cow::Borrowed(source);
    }
    marks.sort_unstable();
    let mut marked = Vec::with_capacity(source.len() + marks.len());
    let mut from = 0;
    for (place, mark) in marks {
        marked.extend_from_slice(&source[from..place]);
        marked.push(mark);
        from = place;
    }
    marked.extend_from_slice(&source[from..]);
    Cow::Owned(marked)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// The libraries whose names are relied on here.
fn is_library(word: &[u8]) -> bool {
    matches!(word, b"redis" | b"server" | b"string" | b"table" | b"math" | b"bit" | b"cjson" | b"cmsgpack" | b"struct")
}

/// Is `LIBRARY.NAME` here, with a function that can raise and has at most one result?
fn is_raising<'a>(index: usize, text: &impl Fn(usize) -> &'a [u8]) -> bool {
    if !is_library(text(index)) || text(index + 1) != b"." {
        return false;
    }
    match (text(index), text(index + 2)) {
        (b"string", name) => !matches!(name, b"byte" | b"find" | b"gsub" | b"match"),
        (b"math", name) => !matches!(name, b"modf" | b"frexp"),
        (b"table", name) => matches!(name, b"concat" | b"insert" | b"sort" | b"remove"),
        (b"cjson", name) => name != b"encode_sparse_array",
        (b"cmsgpack", name) => name == b"pack",
        (b"struct", name) => matches!(name, b"pack" | b"size"),
        _ => true,
    }
}

/// Is this a base function that can raise and has at most one result?
fn is_raising_base(word: &[u8]) -> bool {
    matches!(word, b"error" | b"rawset" | b"setmetatable")
}

/// Is a name that this relies on given another meaning here?
fn shadows<'a>(index: usize, text: &impl Fn(usize) -> &'a [u8]) -> bool {
    if !is_library(text(index)) && !is_raising_base(text(index)) {
        return false;
    }
    let before = if index == 0 { b"" } else { text(index - 1) };
    let is_field = matches!(before, b"." | b":");
    let is_bound = matches!(before, b"," | b"(") && matches!(text(index + 1), b"=" | b"," | b")" | b"in");
    !is_field && (is_bound || matches!(before, b"local" | b"function" | b"for"))
}

/// The token that closes the parenthesis that opens at `opening`.
fn closing_parenthesis<'a>(opening: usize, count: usize, text: &impl Fn(usize) -> &'a [u8]) -> Option<usize> {
    if text(opening) != b"(" {
        return None;
    }
    let mut depth = 0_usize;
    for index in opening..count {
        match text(index) {
            b"(" | b"{" | b"[" => depth += 1,
            b")" | b"}" | b"]" => {
                // It opened with a parenthesis, so that the depth was at least one.
                depth -= 1;
                if depth == 0 {
                    return (text(index) == b")").then_some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// A word, a number, a string or a sign.
struct Token {
    start: usize,
    end: usize,
}

/// Lua's tokens as far as it matters here: signs of several characters come apart.
struct Tokens<'a> {
    source: &'a [u8],
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = &self.source[self.at..];
            let &first = rest.first()?;
            let start = self.at;
            if first.is_ascii_whitespace() || first == 0x0b {
                self.at += 1;
                continue;
            }
            if rest.starts_with(b"--") {
                self.at += 2;
                match long_bracket(&rest[2..]) {
                    Some(len) => self.at += len,
                    None => self.at += rest[2..].iter().position(|&byte| byte == b'\n').unwrap_or(rest.len() - 2),
                }
                continue;
            }
            self.at += match first {
                b'"' | b'\'' => quoted(rest),
                b'[' => long_bracket(rest).unwrap_or(1),
                _ => rest.iter().take_while(|&&byte| is_word(byte)).count().max(1),
            };
            return Some(Token { start, end: self.at });
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of a string with its quotes; an unfinished one ends with its line.
fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 1,
            b'\n' => return at,
            byte if byte == rest[0] => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// The length of `[[...]]` or `[=[...]=]`; `None` if it is only a bracket.
fn long_bracket(rest: &[u8]) -> Option<usize> {
    let level = rest.get(1..)?.iter().take_while(|&&byte| byte == b'=').count();
    if rest[0] != b'[' || rest.get(level + 1) != Some(&b'[') {
        return None;
    }
    let mut end = vec![b'='; level + 2];
    end[0] = b']';
    end[level + 1] = b']';
    let start = level + 2;
    let found = rest[start..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |place| start + place + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_in_tail_position_are_marked() {
        for (source, expected) in [
            ("return redis.call('a')", "return (redis.call('a'))"),
            ("return\n redis . call ( f(1), {2}, ')' )", "return\n (redis . call ( f(1), {2}, ')' ))"),
            (
                "if x then return redis.call('a') else return redis.pcall('b') end",
                "if x then return (redis.call('a')) else return (redis.pcall('b')) end",
            ),
            ("return redis.call('a', [[)]], [=[ ]] ]=]) -- end", "return (redis.call('a', [[)]], [=[ ]] ]=])) -- end"),
            ("return redis.call('a', redis.call('b'));", "return (redis.call('a', redis.call('b')));"),
            ("local call = redis.call return call('a')", "local call = redis.call return (call('a'))"),
            ("return error('x')", "return (error('x'))"),
            (
                "return redis.call('a', function() return redis.call('b') end)",
                "return (redis.call('a', function() return (redis.call('b')) end))",
            ),
            ("return string.rep()", "return (string.rep())"),
            ("return string.find('a', 'a')", "return string.find('a', 'a')"),
            ("return cjson.encode(1)", "return (cjson.encode(1))"),
            ("return cjson.encode_sparse_array()", "return cjson.encode_sparse_array()"),
            ("return cmsgpack.pack(1)", "return (cmsgpack.pack(1))"),
            ("return cmsgpack.unpack('')", "return cmsgpack.unpack('')"),
            ("return struct.pack('b', 1)", "return (struct.pack('b', 1))"),
            ("return struct.unpack('b', 'x')", "return struct.unpack('b', 'x')"),
            ("return redis.call('a').ok", "return redis.call('a').ok"),
            ("return redis.call('a') + 1", "return redis.call('a') + 1"),
            ("return redis.call('a'), 2", "return redis.call('a'), 2"),
            ("return {redis.call('a')}", "return {redis.call('a')}"),
            ("return f(redis.call('a'))", "return f(redis.call('a'))"),
            ("return 'return redis.call(1)'", "return 'return redis.call(1)'"),
            ("-- return redis.call('a')\n", "-- return redis.call('a')\n"),
            ("--[[ return redis.call('a')\n]] return 1", "--[[ return redis.call('a')\n]] return 1"),
            ("return redis.call('a'", "return redis.call('a'"),
            ("return redis.call 'a'", "return redis.call 'a'"),
            ("local redis = {} return redis.call('a')", "local redis = {} return redis.call('a')"),
            (
                "local f = function(redis) return redis.call('a') end",
                "local f = function(redis) return redis.call('a') end",
            ),
            (
                "f = function() local bit = 1 return bit end g = function() return redis.call('a') end",
                "f = function() local bit = 1 return bit end g = function() return (redis.call('a')) end",
            ),
            ("local bit = {} return bit.x()", "local bit = {} return bit.x()"),
            ("return redis.call(')\n", "return redis.call(')\n"),
            ("return redis.call(]", "return redis.call(]"),
            ("return redis.call('a') -- [[\n", "return (redis.call('a')) -- [[\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&keep_lines(source.as_bytes())), expected);
        }
    }

    #[test]
    fn any_bytes_are_borne() {
        let mut state = 88172645463325252_u64;
        let pieces = [
            "return ", "redis", ".", "call", "(", ")", "[[", "]]", "--", "'", "\\", "\n", "error", "local ", "=", "[",
            "]", "\u{e9}",
        ];
        for _ in 0..20_000 {
            let mut source = String::new();
            for _ in 0..state % 12 + 1 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                source += pieces[(state >> 33) as usize % pieces.len()];
            }
            let marked = keep_lines(source.as_bytes());
            assert_eq!(marked.iter().filter(|&&byte| byte == b'\n').count(), source.matches('\n').count());
        }
    }
}
