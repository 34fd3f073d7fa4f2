//! The first line of a library of functions: `#!lua name=mylib`.

use super::source::split_words;

/// Reads the name of a library and says where its Lua text starts: at the line break that ends the first line, so that line numbers
/// stay right. The error is what the client reads.
pub(super) fn parse_library(code: &[u8]) -> Result<(Vec<u8>, &[u8]), Vec<u8>> {
    if !code.starts_with(b"#!") {
        return Err(b"ERR Missing library metadata".to_vec());
    }
    let invalid = || b"ERR Invalid library metadata".to_vec();
    // As in Redis the line must end before a zero does.
    let line_end = code.iter().position(|&byte| matches!(byte, b'\n' | 0)).filter(|&at| code[at] == b'\n');
    let line_end = line_end.ok_or_else(invalid)?;
    let words = split_words(&code[..line_end]).filter(|words| !words.is_empty()).ok_or_else(invalid)?;
    let mut name = None;
    for word in &words[1..] {
        let Some(given) = word.get(..5).filter(|key| key.eq_ignore_ascii_case(b"name=")).map(|_| &word[5..]) else {
            return Err([b"ERR Invalid metadata value given: ", &word[..]].concat());
        };
        if name.replace(given).is_some() {
            return Err(b"ERR Invalid metadata value, name argument was given multiple times".to_vec());
        }
    }
    let name = name.ok_or(b"ERR Library name was not given")?;
    if !is_name(name) {
        return Err([b"ERR ", BAD_NAME].concat());
    }
    let engine = &words[0][2.min(words[0].len())..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    Ok((name.to_vec(), &code[line_end..]))
}

/// Whether a library or a function may be called so.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is wrong with another name; Redis says it of functions too.
pub(super) const BAD_NAME: &[u8] =
    b"Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_first_line() {
        for (code, name, body) in [
            ("#!lua name=lib\nx", "lib", "\nx"),
            ("#!LUA \t NAME=a_1  \n", "a_1", "\n"),
            ("#!lua \"name=q\"\n\n", "q", "\n\n"),
        ] {
            let (found, rest) = parse_library(code.as_bytes()).unwrap();
            assert_eq!((found.as_slice(), rest), (name.as_bytes(), body.as_bytes()), "{code}");
        }
    }

    #[test]
    fn a_bad_first_line_is_refused_in_redis_words() {
        let bad_name = format!("ERR {}", String::from_utf8_lossy(BAD_NAME));
        for (code, error) in [
            ("", "ERR Missing library metadata"),
            ("\n#!lua name=x\n", "ERR Missing library metadata"),
            ("#!lua name=x", "ERR Invalid library metadata"),
            ("#!lua 'name=x\n", "ERR Invalid library metadata"),
            ("#!lua name=lib\0\n", "ERR Invalid library metadata"),
            ("#!lua\n", "ERR Library name was not given"),
            ("#!\n", "ERR Library name was not given"),
            ("#!lua foo=x\n", "ERR Invalid metadata value given: foo=x"),
            ("#!lua nam\n", "ERR Invalid metadata value given: nam"),
            ("#!lua name=x name=y\n", "ERR Invalid metadata value, name argument was given multiple times"),
            ("#!lua name=\n", bad_name.as_str()),
            ("#!py name=a-b\n", bad_name.as_str()),
            ("#!py name=x\n", "ERR Engine 'py' not found"),
        ] {
            assert_eq!(parse_library(code.as_bytes()).unwrap_err(), error.as_bytes(), "{code}");
        }
    }
}
