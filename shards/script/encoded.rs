//! Replays a reply that is already in wire form into a sink that is no wire.

use crate::reply::ReplySink;

/// Feeds an encoded reply of either protocol to a sink. Elements follow their header in both forms, so nesting needs no stack.
///
/// The bytes are Ringkeep's own: anything that is no reply is a broken invariant.
pub(super) fn replay(mut rest: &[u8], sink: &mut dyn ReplySink) {
    while let Some((&kind, after)) = rest.split_first() {
        let end = after.windows(2).position(|pair| pair == b"\r\n").expect("a reply's line ends");
        let line = &after[..end];
        rest = &after[end + 2..];
        let text = std::str::from_utf8(line);
        let count = || number(line).try_into().expect("a reply's length is not negative");
        match kind {
            b'+' => sink.simple_bytes(line),
            b'-' => sink.error_bytes(line),
            b':' => sink.integer(number(line)),
            b'$' if line == b"-1" => sink.null(),
            b'*' if line == b"-1" => sink.null_array(),
            b'_' => sink.null(),
            b'*' => sink.array(count()),
            b'%' => sink.map(count()),
            b'~' => sink.set(count()),
            b'>' => sink.push(count()),
            b'|' => sink.attribute(count()),
            b'#' => sink.boolean(line == b"t"),
            b',' => sink.double(text.ok().and_then(|text| text.parse().ok()).expect("a double is a number")),
            b'(' => sink.big_number(line),
            b'$' | b'=' | b'!' => {
                let body = &rest[..count()];
                rest = rest[body.len()..].strip_prefix(b"\r\n").expect("a bulk string ends with a line break");
                match kind {
                    b'$' => sink.bulk(body),
                    b'!' => sink.error_bytes(body),
                    _ => {
                        let format = body[..3].try_into().expect("a format has three letters");
                        sink.verbatim(format, &body[4..]);
                    }
                }
            }
            other => panic!("no reply starts with {:?}", char::from(other)),
        }
    }
}

fn number(line: &[u8]) -> i64 {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).expect("a reply's number")
}
