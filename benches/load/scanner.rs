//! Counts replies without building them, and checks that each is of the kind and length that was asked for.

/// What the replies of a workload look like. Anything else is wrong.
#[derive(Clone, Copy, Default, Debug)]
pub struct Expected {
    /// Length of a bulk string, alone or in an array, in bytes.
    pub bulk_bytes: Option<usize>,
    /// Elements of an array.
    pub elements: Option<usize>,
    /// Simple strings are right.
    pub simple: bool,
    /// Integers are right.
    pub integer: bool,
}

/// One connection's place in the stream of replies, kept across reads.
#[derive(Default, Debug)]
pub struct Scanner {
    /// What is left of a bulk string, its line end included.
    body_bytes_left: usize,
    /// What is left of an array.
    elements_left: usize,
}

/// What a piece of the stream held.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes that need not be shown again.
    pub consumed: usize,
    /// Replies that ended in them.
    pub replies: usize,
    /// The first thing that was not expected.
    pub wrong: Option<String>,
}

impl Scanner {
    /// Goes through `bytes` as far as they are whole; what is left over comes again, with more after it.
    pub fn scan(&mut self, bytes: &[u8], expected: &Expected) -> Scanned {
        let mut scanned = Scanned::default();
        let mut at = 0;
        loop {
            if self.body_bytes_left > 0 {
                let step = self.body_bytes_left.min(bytes.len() - at);
                at += step;
                self.body_bytes_left -= step;
                if self.body_bytes_left > 0 {
                    break;
                }
                scanned.replies += self.end_element();
            }
            let Some(line_bytes) = bytes[at..].iter().position(|&byte| byte == b'\n') else {
                break;
            };
            let line = &bytes[at..at + line_bytes];
            at += line_bytes + 1;
            let fits = match line.first().copied().unwrap_or(0) {
                b'$' => {
                    let length = number(line);
                    match length {
                        Some(length) => self.body_bytes_left = length + 2,
                        None => scanned.replies += self.end_element(),
                    }
                    length.is_some() && expected.bulk_bytes == length
                }
                b'*' => {
                    let count = number(line).unwrap_or(0);
                    self.elements_left = count;
                    if count == 0 {
                        scanned.replies += 1;
                    }
                    expected.elements == Some(count)
                }
                kind => {
                    scanned.replies += self.end_element();
                    match kind {
                        b'+' => expected.simple,
                        b':' => expected.integer,
                        _ => false,
                    }
                }
            };
            if !fits && scanned.wrong.is_none() {
                scanned.wrong = Some(format!("{} where {expected:?}", line.escape_ascii()));
            }
        }
        scanned.consumed = at;
        scanned
    }

    /// How many replies an element ends: 0 in the middle of an array, else 1.
    fn end_element(&mut self) -> usize {
        self.elements_left = self.elements_left.saturating_sub(1);
        usize::from(self.elements_left == 0)
    }
}

fn number(line: &[u8]) -> Option<usize> {
    let mut value = 0;
    for &byte in &line[1..] {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' => break,
            _ => return None,
        }
    }
    Some(value)
}
