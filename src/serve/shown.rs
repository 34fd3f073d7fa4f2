//! What of a reply is sent: CLIENT REPLY may hide all of it, and within EXEC parts of it.

use crate::resp::{Frame, FrameKind};

/// Which parts of a reply are sent.
#[derive(PartialEq, Eq, Debug)]
pub enum Shown {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// Of an array (EXEC's): its header if the first one says so, and those elements whose place says so. The array that a client gets
    /// is a broken one then, byte by byte the one that Redis sends. Anything else is sent as the header would be.
    Parts(Vec<bool>),
}

impl Shown {
    /// A reply that is sent, or is not.
    pub fn whole(sends: bool) -> Self {
        if sends { Shown::All } else { Shown::Nothing }
    }

    /// An array's parts: its header, then its elements.
    pub fn parts(parts: Vec<bool>) -> Self {
        let first = parts.first().copied().unwrap_or(true);
        if parts.iter().all(|&part| part == first) { Shown::whole(first) } else { Shown::Parts(parts) }
    }

    /// Takes out of a reply, which is `out` from `start` on, what is not sent.
    pub fn cut(&self, out: &mut Vec<u8>, start: usize) {
        let parts = match self {
            Shown::All => return,
            Shown::Nothing => return out.truncate(start),
            Shown::Parts(parts) => parts,
        };
        let reply = out.split_off(start);
        let (header, elements) = parts.split_first().expect("an array has a header");
        match Frame::read(&reply) {
            Ok(Frame { kind: FrameKind::Array(count), body, .. }) if count == elements.len() => {
                if *header {
                    out.extend_from_slice(&reply[..body]);
                }
                let mut rest = &reply[body..];
                for shown in elements {
                    let end = Frame::read(rest).expect("replies are whole frames").end;
                    if *shown {
                        out.extend_from_slice(&rest[..end]);
                    }
                    rest = &rest[end..];
                }
            }
            _ if *header => out.extend_from_slice(&reply),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(shown: &Shown, reply: &str) -> String {
        let mut out = format!("+before\r\n{reply}").into_bytes();
        shown.cut(&mut out, 9);
        String::from_utf8(out).unwrap().strip_prefix("+before\r\n").unwrap().to_owned()
    }

    #[test]
    fn parts_of_an_array_are_taken_out() {
        let array = "*2\r\n*1\r\n:1\r\n$2\r\nab\r\n";
        assert_eq!(cut(&Shown::parts(vec![true, true, true]), array), array);
        assert_eq!(cut(&Shown::parts(vec![false, false, false]), array), "");
        assert_eq!(cut(&Shown::parts(vec![true, false, true]), array), "*2\r\n$2\r\nab\r\n");
        assert_eq!(cut(&Shown::parts(vec![false, true, false]), array), "*1\r\n:1\r\n");
        assert_eq!(cut(&Shown::parts(vec![true, false, false]), "*-1\r\n"), "*-1\r\n");
        assert_eq!(cut(&Shown::parts(vec![false, true, true]), "-UNKNOWN so\r\n"), "");
    }
}
