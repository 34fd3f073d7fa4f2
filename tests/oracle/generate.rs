//! What the generators of all families draw from.

use super::common::Random;
use super::step::Step;

/// Few keys, so that commands meet.
pub const KEYS: [&str; 8] = ["k0", "k1", "k2", "k3", "k4", "a longer key with blanks", "k\r\n\0bin", ""];

/// Numbers at the edges, and what looks like one but is none. None is so large, and still right, that it makes a server allocate
/// hundreds of megabytes (SETRANGE, SETBIT).
const INTEGERS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "10",
    "100",
    "-100",
    "999",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "",
    "abc",
    "1.5",
    "+1",
    " 1",
    "1 ",
    "01",
    "-0",
    "0x10",
    "1e3",
];

const FLOATS: [&str; 18] = [
    "0",
    "1",
    "-1.5",
    "3.0e3",
    "0.1",
    "1e-7",
    "1e17",
    "123456789.123456789",
    "5e-324",
    "1e308",
    "inf",
    "-inf",
    "nan",
    "",
    "abc",
    " 1",
    "1.0",
    "0x1p3",
];

/// A key, mostly one of the first few.
pub fn key(random: &mut Random) -> Vec<u8> {
    let bound = if random.one_in(8) { KEYS.len() } else { 5 };
    KEYS[random.below(bound)].as_bytes().to_vec()
}

/// An integer as text; mostly a small one that is right.
pub fn integer(random: &mut Random) -> Vec<u8> {
    if random.one_in(3) {
        return INTEGERS[random.below(INTEGERS.len())].as_bytes().to_vec();
    }
    random.between(-20, 120).to_string().into_bytes()
}

/// An integer that is none, or too large for anything. No small ones: as a time to live they would end during the sequence.
fn bad_integer(random: &mut Random) -> Vec<u8> {
    const BAD: [&str; 7] = ["abc", "", "9223372036854775808", "-9223372036854775809", "1.5", " 1", "NX"];
    BAD[random.below(BAD.len())].as_bytes().to_vec()
}

/// A floating-point number as text.
pub fn float(random: &mut Random) -> Vec<u8> {
    if random.one_in(2) {
        return FLOATS[random.below(FLOATS.len())].as_bytes().to_vec();
    }
    format!("{}.{}", random.between(-50, 50), random.below(1000)).into_bytes()
}

/// A value: numbers, text, bytes, nothing, something longer.
pub fn value(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 | 1 => integer(random),
        2 => float(random),
        3 => Vec::new(),
        4 => (0..random.below(20)).map(|_| random.next() as u8).collect(),
        5 => vec![b'a' + random.below(26) as u8; random.below(300)],
        6 => {
            const TEXTS: [&str; 6] = ["hello world", "foobar", "ohmytext", "mynewtext", "\r\n", "The quick brown fox"];
            TEXTS[random.below(TEXTS.len())].as_bytes().to_vec()
        }
        _ => b"abcdefghij"[random.below(10)..].to_vec(),
    }
}

/// A request from parts of any kind.
#[macro_export]
macro_rules! request {
    ($($part:expr),+ $(,)?) => {
        $crate::step::Step::request(&[$(AsRef::<[u8]>::as_ref(&$part).to_vec()),+])
    };
}

/// Adds words to a request.
pub fn extend<A: AsRef<[u8]>>(step: &mut Step, words: &[A]) {
    if let Step::Request { arguments, .. } = step {
        arguments.extend(words.iter().map(|word| word.as_ref().to_vec()));
    }
}

/// Now and then an argument is lost, doubled, replaced or changes its case: the errors are part of what must be the same.
pub fn damage(random: &mut Random, step: &mut Step) {
    if !random.one_in(14) {
        return;
    }
    let Step::Request { arguments, .. } = step else {
        return;
    };
    // What would change more than a reply is left whole: a script could lose its key count, EXEC its end.
    let name = arguments[0].to_ascii_uppercase();
    if [&b"CLIENT"[..], b"DEBUG", b"SCRIPT", b"HELLO", b"EVAL", b"SELECT"].contains(&name.as_slice()) {
        return;
    }
    let at = random.below(arguments.len());
    match random.below(4) {
        0 if arguments.len() > 1 && at > 0 => drop(arguments.remove(at)),
        1 => arguments.push(bad_integer(random)),
        2 if at > 0 => arguments[at] = bad_integer(random),
        _ => arguments[at].make_ascii_lowercase(),
    }
}
