//! A naive parser of requests, from the description of the protocol, and the decoder's tests against it.

use proptest::prelude::*;

use super::decoder::{ARGUMENTS_MAX, Arguments, BULK_BYTES_MAX_DEFAULT, Decoded, Decoder, LINE_BYTES_MAX};
use super::error::ProtocolError;
use super::number::parse_decimal;

/// All requests of a connection that sent so many bytes, and the protocol error that ended it.
type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// One request: its arguments and its length. `Ok(None)`: it is unfinished.
type Step = Result<Option<(Vec<Vec<u8>>, usize)>, ProtocolError>;

fn parse(mut bytes: &[u8], bulk_bytes_max: usize, authenticated: bool) -> Parsed {
    let mut requests = Vec::new();
    loop {
        match parse_one(bytes, bulk_bytes_max, authenticated) {
            Ok(None) => return (requests, None),
            Err(error) => return (requests, Some(error)),
            Ok(Some((arguments, length))) => {
                if !arguments.is_empty() {
                    requests.push(arguments);
                }
                bytes = &bytes[length..];
            }
        }
    }
}

/// A line up to `end`, which no NUL precedes.
fn line(bytes: &[u8], end: u8, too_long: ProtocolError) -> Result<Option<&[u8]>, ProtocolError> {
    let visible = bytes.split(|&byte| byte == 0).next().unwrap();
    match visible.iter().position(|&byte| byte == end) {
        Some(length) if length <= LINE_BYTES_MAX => Ok(Some(&bytes[..length])),
        None if bytes.len() <= LINE_BYTES_MAX => Ok(None),
        _ => Err(too_long),
    }
}

fn parse_one(bytes: &[u8], bulk_bytes_max: usize, authenticated: bool) -> Step {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes[0] != b'*' {
        let Some(found) = line(bytes, b'\n', ProtocolError::TooBigInline)? else { return Ok(None) };
        let length = found.len() + 1;
        let words = words(found.strip_suffix(b"\r").unwrap_or(found)).ok_or(ProtocolError::UnbalancedQuotes)?;
        return Ok(Some((words, length)));
    }
    let Some(count) = line(bytes, b'\r', ProtocolError::TooBigMultibulkCount)? else { return Ok(None) };
    let mut position = count.len() + 2;
    if position > bytes.len() {
        return Ok(None);
    }
    let count = parse_decimal(&count[1..]).ok_or(ProtocolError::InvalidMultibulkLength)?;
    if count > 10 && !authenticated && count <= i64::from(i32::MAX) {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    if count > ARGUMENTS_MAX as i64 {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    let mut arguments = Vec::new();
    for _ in 0..count {
        let rest = &bytes[position..];
        let Some(found) = line(rest, b'\r', ProtocolError::TooBigBulkCount)? else { return Ok(None) };
        if rest.len() < found.len() + 2 {
            return Ok(None);
        }
        if rest[0] != b'$' {
            return Err(ProtocolError::ExpectedDollar(rest[0]));
        }
        let length = parse_decimal(&found[1..]).filter(|length| (0..=bulk_bytes_max as i64).contains(length));
        let length = length.ok_or(ProtocolError::InvalidBulkLength)? as usize;
        if length > 16384 && !authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        let body = &rest[found.len() + 2..];
        if body.len() < length + 2 {
            return Ok(None);
        }
        arguments.push(body[..length].to_vec());
        position += found.len() + 2 + length + 2;
    }
    Ok(Some((arguments, position)))
}

/// An inline command's words, by a table of states instead of the nested loops.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let blank = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
    let (mut words, mut word, mut state) = (Vec::new(), None::<Vec<u8>>, ' ');
    let mut rest = line.iter().copied().enumerate();
    while let Some((at, byte)) = rest.next() {
        let next = |ahead: usize| line.get(at + ahead).copied();
        match (state, byte) {
            (' ', byte) if word.is_none() && blank(byte) => {}
            (' ', b' ' | b'\t' | b'\r' | b'\n') => words.push(word.take()?),
            (' ', b'"' | b'\'') => {
                word.get_or_insert_default();
                state = byte as char;
            }
            ('"', b'\\') if next(1).is_some() => {
                let word = word.as_mut()?;
                let digits = line.get(at + 2..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                match (rest.next()?.1, digits) {
                    (b'x', Some(digits)) => {
                        word.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
                        rest.nth(1);
                    }
                    (b'n', _) => word.push(10),
                    (b'r', _) => word.push(13),
                    (b't', _) => word.push(9),
                    (b'b', _) => word.push(8),
                    (b'a', _) => word.push(7),
                    (other, _) => word.push(other),
                }
            }
            ('\'', b'\\') if next(1) == Some(b'\'') => {
                word.as_mut()?.push(b'\'');
                rest.next();
            }
            ('"', b'"') | ('\'', b'\'') => {
                if next(1).is_some_and(|byte| !blank(byte)) {
                    return None;
                }
                words.push(word.take()?);
                state = ' ';
            }
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    match (state, word) {
        (' ', Some(last)) => words.push(last),
        (' ', None) => {}
        _ => return None,
    }
    Some(words)
}

/// Feeds a decoder as a connection would: chunk by chunk, keeping what was not consumed; now and then a large argument is
/// received straight into its buffer.
fn feed<'a>(decoder: &mut Decoder, chunks: impl Iterator<Item = &'a [u8]>) -> Parsed {
    let (mut requests, mut buffer, mut direct) = (Vec::new(), Vec::new(), false);
    for mut chunk in chunks {
        if let Some(large) = decoder.receiving() {
            direct = !direct;
            if direct {
                assert!(buffer.is_empty());
                let mut lent = large.lend();
                let taken = chunk.len().min(lent.capacity() - lent.len());
                lent.extend_from_slice(&chunk[..taken]);
                large.give_back(lent);
                chunk = &chunk[taken..];
            }
        }
        buffer.extend_from_slice(chunk);
        loop {
            let consumed = match decoder.next(&buffer) {
                Decoded::Request { consumed } => {
                    let larges: Vec<_> = (0..decoder.argument_count()).map(|index| decoder.take_large(index)).collect();
                    let mut arguments = Arguments::new();
                    decoder.arguments(&buffer, &mut arguments);
                    let whole = larges.into_iter().zip(&arguments).enumerate();
                    requests.push(Vec::from_iter(whole.map(|(index, (large, &span))| {
                        assert_eq!(decoder.argument(&buffer, index), span);
                        large.unwrap_or(span.to_vec())
                    })));
                    consumed
                }
                Decoded::Empty { consumed } => consumed,
                Decoded::Large { consumed, remaining } => {
                    assert!(consumed == buffer.len() && remaining > 0);
                    buffer.clear();
                    break;
                }
                Decoded::Incomplete { need } => {
                    assert!(need > 0);
                    break;
                }
                Decoded::Error(error) => {
                    assert_eq!(decoder.next(&buffer), Decoded::Error(error), "an error stays");
                    return (requests, Some(error));
                }
            };
            buffer.drain(..consumed);
        }
    }
    (requests, None)
}

/// Whole, and cut at every byte, with large arguments from a few bytes on and without.
#[track_caller]
fn expect(bytes: &[u8], bulk_bytes_max: usize, authenticated: bool) -> Parsed {
    let wanted = parse(bytes, bulk_bytes_max, authenticated);
    for large_bytes_min in [3, 20, 64 * 1024] {
        for cut in 0..=bytes.len() {
            let mut decoder = Decoder::with_large_from(bulk_bytes_max, large_bytes_min);
            decoder.set_bounds(authenticated, bulk_bytes_max);
            let (before, after) = bytes.split_at(cut);
            assert_eq!(
                feed(&mut decoder, [before, after].into_iter()),
                wanted,
                "cut at {cut} of {}",
                bytes.escape_ascii()
            );
        }
        let mut decoder = Decoder::with_large_from(bulk_bytes_max, large_bytes_min);
        decoder.set_bounds(authenticated, bulk_bytes_max);
        assert_eq!(feed(&mut decoder, bytes.chunks(1)), wanted, "byte by byte: {}", bytes.escape_ascii());
    }
    wanted
}

#[track_caller]
fn expect_error(bytes: &[u8], error: ProtocolError) {
    assert_eq!(expect(bytes, 1000, true).1, Some(error));
}

#[test]
fn requests_of_every_kind() {
    let bytes = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$26\r\nsome value that is \r\nlarge\r\n\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n \nget \"a b\" ''\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*3\r\n$2\r\nab\r\n$22\r\n1234567890123456789012\r\n$22\r\nx234567890123456789012\r\n";
    let (requests, error) = expect(bytes, BULK_BYTES_MAX_DEFAULT, true);
    assert_eq!(error, None);
    let lengths: Vec<usize> = requests.iter().map(Vec::len).collect();
    assert_eq!(lengths, [3, 1, 1, 3, 2, 3]);
    assert_eq!(requests[0][2], b"some value that is \r\nlarge");
    assert_eq!(requests[3], [&b"get"[..], b"a b", b""]);
}

#[test]
fn what_ends_a_bulk_or_a_line_is_not_looked_at() {
    let (requests, error) = expect(b"*1\rx$4\ryPINGab*1\r\n$4\r\nPONG\r\n", 1000, true);
    assert_eq!((requests.len(), error), (2, None));
}

#[test]
fn errors_in_redis_order_and_words() {
    expect_error(b"*x\r\n", ProtocolError::InvalidMultibulkLength);
    expect_error(b"*\r\n", ProtocolError::InvalidMultibulkLength);
    expect_error(b"*+1\r\n", ProtocolError::InvalidMultibulkLength);
    expect_error(b"*1048577\r\n", ProtocolError::InvalidMultibulkLength);
    expect_error(b"*99999999999999999999\r\n", ProtocolError::InvalidMultibulkLength);
    expect_error(b"*1\r\n:1\r\n", ProtocolError::ExpectedDollar(b':'));
    expect_error(b"*1\r\n\r\n", ProtocolError::ExpectedDollar(b'\r'));
    expect_error(b"*1\r\nfoo\r\n", ProtocolError::ExpectedDollar(b'f'));
    expect_error(b"*2\r\n$1\r\na\r\n$-1\r\n", ProtocolError::InvalidBulkLength);
    expect_error(b"*1\r\n$01\r\n", ProtocolError::InvalidBulkLength);
    expect_error(b"*1\r\n$1001\r\n", ProtocolError::InvalidBulkLength);
    expect_error(b"set \"x\r\n", ProtocolError::UnbalancedQuotes);
}

#[test]
fn limits_before_authentication() {
    assert_eq!(expect(b"*11\r\n", 1 << 20, false).1, Some(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(expect(b"*2000000\r\n", 1 << 20, false).1, Some(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(expect(b"*1\r\n$16385\r\n", 1 << 20, false).1, Some(ProtocolError::UnauthenticatedBulkLength));
    assert_eq!(expect(b"*1\r\n$2000000\r\n", 1 << 20, false).1, Some(ProtocolError::InvalidBulkLength));
    assert_eq!(expect(b"*10\r\n$16384\r\n", 1 << 20, false), (vec![], None));
}

#[test]
fn authentication_holds_for_the_next_request_of_the_same_pipeline() {
    let bytes = b"*1\r\n$4\r\nAUTH\r\n*11\r\n";
    let mut decoder = Decoder::default();
    decoder.set_bounds(false, BULK_BYTES_MAX_DEFAULT);
    assert_eq!(decoder.next(bytes), Decoded::Request { consumed: 14 });
    assert_eq!(decoder.next(&bytes[14..]), Decoded::Error(ProtocolError::UnauthenticatedMultibulkLength));
    decoder.set_bounds(true, BULK_BYTES_MAX_DEFAULT);
    assert_eq!(decoder.next(&bytes[14..]), Decoded::Incomplete { need: 1 });
}

#[test]
fn lines_that_do_not_end() {
    for (start, error) in [
        (&b"*"[..], ProtocolError::TooBigMultibulkCount),
        (b"*1\r\n$", ProtocolError::TooBigBulkCount),
        (b"get ", ProtocolError::TooBigInline),
        (b"get \0\n", ProtocolError::TooBigInline),
    ] {
        let mut bytes = start.to_vec();
        let line_start = if start.contains(&b'$') { 4 } else { 0 };
        bytes.resize(line_start + LINE_BYTES_MAX, b'1');
        let mut decoder = Decoder::default();
        assert_eq!(decoder.next(&bytes), Decoded::Incomplete { need: 1 });
        bytes.push(b'1');
        assert_eq!(decoder.next(&bytes), Decoded::Error(error));
        assert_eq!(Decoder::default().next(&bytes), Decoded::Error(error));
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(Decoder::default().next(&bytes), Decoded::Error(error), "whether the end comes with it or not");
    }
}

#[test]
fn a_large_argument_is_received_once() {
    let value: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let mut bytes = format!("*4\r\n$4\r\nMSET\r\n$1\r\na\r\n${}\r\n", value.len()).into_bytes();
    bytes.extend_from_slice(&value);
    bytes.extend_from_slice(b"\r\n$3\r\nend\r\n*1\r\n$4\r\nPING\r\n");
    let wanted = vec![vec![b"MSET".to_vec(), b"a".to_vec(), value, b"end".to_vec()], vec![b"PING".to_vec()]];
    for chunk in [1000, 16 * 1024, 1024 * 1024, 4_000_000] {
        let mut decoder = Decoder::default();
        assert_eq!(feed(&mut decoder, bytes.chunks(chunk)), (wanted.clone(), None));
        assert!(decoder.held_bytes() < 16 * 1024 + 1, "nothing large is kept: {}", decoder.held_bytes());
    }
}

#[test]
fn an_announced_length_alone_costs_little() {
    let mut decoder = Decoder::default();
    assert!(matches!(decoder.next(b"*2\r\n$1\r\na\r\n$500000000\r\n"), Decoded::Large { remaining: 500_000_000, .. }));
    assert!(decoder.held_bytes() <= 2 * 1024 * 1024);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.next(b"*1048576\r\n"), Decoded::Incomplete { need: 1 });
    assert_eq!(decoder.held_bytes(), 0);
}

/// Pieces of requests, whole and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let argument = proptest::collection::vec(any::<u8>(), 0..40);
    let request = proptest::collection::vec(argument, 1..6).prop_map(|arguments| {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(&argument);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    });
    prop_oneof![
        8 => request,
        1 => "[ a-c\"'\\\\x0-1]{0,12}\r?\n".prop_map(String::into_bytes),
        1 => "[*$][-+]?[0-9]{0,3}\r\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'*'), Just(b'$'), any::<u8>()], 0..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn agrees_with_the_naive_parser(
        pieces in proptest::collection::vec(piece(), 0..8),
        chunk in 1usize..60,
        large_bytes_min in 1usize..50,
        authenticated: bool,
    ) {
        let bytes = pieces.concat();
        let mut decoder = Decoder::with_large_from(60, large_bytes_min);
        decoder.set_bounds(authenticated, 60);
        prop_assert_eq!(feed(&mut decoder, bytes.chunks(chunk)), parse(&bytes, 60, authenticated));
    }

    #[test]
    fn garbage_is_survived(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8), star: bool) {
        let start: &[u8] = if star { b"*" } else { b"" };
        feed(&mut Decoder::default(), std::iter::once(start).chain(chunks.iter().map(Vec::as_slice)));
    }
}
