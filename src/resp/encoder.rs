//! Replies as RESP2 and RESP3 bytes.

use ringkeep_shards::reply::{Protocol, ReplySink};

use super::double::DoubleText;

/// Lines with a marker and a number below this are made when the program is compiled.
const READY_LINES: usize = 1000;

/// For each small number a line with a hole for its marker: `?7\r\n`, and in the last byte the line's length.
static LINES: [[u8; 8]; READY_LINES] = {
    let mut lines = [[0; 8]; READY_LINES];
    let mut number = 0;
    while number < READY_LINES {
        let digits = if number < 10 {
            1
        } else if number < 100 {
            2
        } else {
            3
        };
        let mut rest = number;
        let mut at = digits;
        while at > 0 {
            lines[number][at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        lines[number][digits + 1] = b'\r';
        lines[number][digits + 2] = b'\n';
        lines[number][7] = digits as u8 + 3;
        number += 1;
    }
    lines
};

/// Writes replies at the end of a connection's output buffer, in the connection's protocol.
pub struct WireReply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> WireReply<'a> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        WireReply { out, protocol }
    }

    /// A marker, a number and a line end.
    #[inline]
    fn line(&mut self, marker: u8, number: usize) {
        if let Some(&(mut line)) = LINES.get(number) {
            // All eight bytes are written and the surplus is dropped: a copy of a fixed size is one store.
            let end = self.out.len() + usize::from(line[7]);
            line[0] = marker;
            self.out.extend_from_slice(&line);
            self.out.truncate(end);
        } else {
            self.digits(marker, itoa::Buffer::new().format(number));
        }
    }

    fn digits(&mut self, marker: u8, digits: &str) {
        self.out.push(marker);
        self.out.extend_from_slice(digits.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An aggregate's header: `marker` in RESP3, an array in RESP2.
    #[inline]
    fn aggregate(&mut self, marker: u8, resp3: usize, resp2: usize) {
        match self.protocol {
            Protocol::Resp3 => self.line(marker, resp3),
            Protocol::Resp2 => self.line(b'*', resp2),
        }
    }
}

impl ReplySink for WireReply<'_> {
    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn switch_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    #[inline]
    fn simple_bytes(&mut self, text: &[u8]) {
        debug_assert!(!text.contains(&b'\r') && !text.contains(&b'\n'), "a simple string has no line breaks: {text:?}");
        self.out.push(b'+');
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn error_bytes(&mut self, text: &[u8]) {
        self.out.push(b'-');
        let start = self.out.len();
        self.out.extend_from_slice(text);
        self.out[start..].iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn integer(&mut self, value: i64) {
        match usize::try_from(value) {
            Ok(small) if small < READY_LINES => self.line(b':', small),
            _ => self.digits(b':', itoa::Buffer::new().format(value)),
        }
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.line(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    #[inline]
    fn array(&mut self, len: usize) {
        self.line(b'*', len);
    }

    fn map(&mut self, pairs: usize) {
        self.aggregate(b'%', pairs, pairs * 2);
    }

    fn set(&mut self, len: usize) {
        self.aggregate(b'~', len, len);
    }

    fn push(&mut self, len: usize) {
        self.aggregate(b'>', len, len);
    }

    fn double(&mut self, value: f64) {
        let text = DoubleText::new(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.out.reserve(text.len() + 32);
                self.line(b'=', text.len() + 4);
                self.out.extend_from_slice(&format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn attribute(&mut self, pairs: usize) {
        assert!(self.protocol == Protocol::Resp3, "attributes exist in RESP3 only");
        self.line(b'|', pairs);
    }

    fn encoded(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::types::OwnedFrame as Resp2Frame;

    fn written(protocol: Protocol, write: impl FnOnce(&mut WireReply<'_>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut WireReply::new(&mut out, protocol));
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    #[track_caller]
    fn expect(write: impl Fn(&mut WireReply<'_>), resp2: &str, resp3: &str) {
        assert_eq!(written(Protocol::Resp2, &write), resp2);
        assert_eq!(written(Protocol::Resp3, &write), resp3);
    }

    #[test]
    fn each_type_in_each_protocol() {
        expect(|reply| reply.ok(), "+OK\r\n", "+OK\r\n");
        expect(|reply| reply.simple("PONG"), "+PONG\r\n", "+PONG\r\n");
        expect(|reply| reply.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        expect(|reply| reply.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        expect(|reply| reply.bulk(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n");
        expect(|reply| reply.null(), "$-1\r\n", "_\r\n");
        expect(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
        expect(|reply| reply.array(1234), "*1234\r\n", "*1234\r\n");
        expect(|reply| reply.map(2), "*4\r\n", "%2\r\n");
        expect(|reply| reply.set(2), "*2\r\n", "~2\r\n");
        expect(|reply| reply.push(3), "*3\r\n", ">3\r\n");
        expect(|reply| reply.double(3.5), "$3\r\n3.5\r\n", ",3.5\r\n");
        expect(|reply| reply.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        expect(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
        expect(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
        expect(|reply| reply.big_number(b"123"), "$3\r\n123\r\n", "(123\r\n");
        expect(|reply| reply.verbatim(*b"txt", b"ab"), "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n");
        expect(|reply| reply.encoded(b":1\r\n"), ":1\r\n", ":1\r\n");
        assert_eq!(written(Protocol::Resp3, |reply| reply.attribute(1)), "|1\r\n");
    }

    #[test]
    fn every_ready_line_and_its_neighbours() {
        for number in 0..READY_LINES + 2 {
            assert_eq!(written(Protocol::Resp2, |reply| reply.array(number)), format!("*{number}\r\n"));
        }
    }

    proptest! {
        #[test]
        fn integers(value: i64) {
            prop_assert_eq!(written(Protocol::Resp2, |reply| reply.integer(value)), format!(":{value}\r\n"));
        }

        #[test]
        fn another_decoder_reads_it(elements in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1200), 0..6)) {
            let mut out = Vec::new();
            let mut reply = WireReply::new(&mut out, Protocol::Resp2);
            reply.array(elements.len());
            elements.iter().for_each(|element| reply.bulk(element));
            let (frame, length) = redis_protocol::resp2::decode::decode(&out).unwrap().unwrap();
            prop_assert_eq!(length, out.len());
            let wanted = elements.into_iter().map(Resp2Frame::BulkString).collect();
            prop_assert_eq!(frame, Resp2Frame::Array(wanted));
        }
    }
}
