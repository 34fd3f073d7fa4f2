//! Replies as trees.

use crate::reply::{Protocol, ReplySink};

/// A reply, or what is expected of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(String),
    Nil,
    NilArray,
    Array(Vec<Reply>),
    /// Expected: these elements, in any order.
    AnyOrder(Vec<String>),
    /// Expected: a number from here to there. DBSIZE may count keys that have expired.
    Between(i64, i64),
    /// Expected: an error that says this among other things.
    ErrorWith(String),
}

impl Reply {
    /// Whether a reply is what is expected here.
    pub(super) fn expects(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Reply::Array(expected), Reply::Array(elements)) => {
                expected.len() == elements.len() && expected.iter().zip(elements).all(|(one, other)| one.expects(other))
            }
            (Reply::AnyOrder(expected), Reply::Array(elements)) => {
                let mut found = Vec::new();
                for element in elements {
                    let Reply::Bulk(text) = element else { return false };
                    found.push(text.clone());
                }
                found.sort();
                let mut expected = expected.clone();
                expected.sort();
                found == expected
            }
            (Reply::Between(from, to), Reply::Integer(number)) => (from..=to).contains(&number),
            // As in Redis, the text of an error ends at a zero.
            (Reply::ErrorWith(text), Reply::Error(error)) => {
                error.contains(text.split('\0').next().unwrap_or_default())
            }
            (expected, reply) => expected == reply,
        }
    }
}

/// Builds the tree of one reply, which may come slice by slice.
#[derive(Default)]
pub(super) struct Catcher {
    open: Vec<(usize, Vec<Reply>)>,
    whole: Option<Reply>,
}

impl Catcher {
    /// The reply.
    pub(super) fn finish(self) -> Reply {
        assert!(self.open.is_empty(), "elements are missing");
        self.whole.expect("a reply is written")
    }

    fn add(&mut self, mut reply: Reply) {
        while let Some((len, elements)) = self.open.last_mut() {
            elements.push(reply);
            if elements.len() < *len {
                return;
            }
            let (_, elements) = self.open.pop().expect("it was just looked at");
            reply = Reply::Array(elements);
        }
        assert!(self.whole.replace(reply).is_none(), "one reply is written");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl ReplySink for Catcher {
    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }
    fn simple_bytes(&mut self, bytes: &[u8]) {
        self.add(Reply::Simple(text(bytes)));
    }
    fn error_bytes(&mut self, bytes: &[u8]) {
        self.add(Reply::Error(text(bytes)));
    }
    fn integer(&mut self, value: i64) {
        self.add(Reply::Integer(value));
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.add(Reply::Bulk(text(bytes)));
    }
    fn null(&mut self) {
        self.add(Reply::Nil);
    }
    fn null_array(&mut self) {
        self.add(Reply::NilArray);
    }
    fn array(&mut self, len: usize) {
        if len == 0 {
            self.add(Reply::Array(Vec::new()));
        } else {
            self.open.push((len, Vec::new()));
        }
    }
    fn map(&mut self, pairs: usize) {
        self.array(pairs * 2);
    }
    fn set(&mut self, len: usize) {
        self.array(len);
    }
    fn push(&mut self, len: usize) {
        self.array(len);
    }
    fn double(&mut self, value: f64) {
        self.add(Reply::Bulk(value.to_string()));
    }
    fn boolean(&mut self, value: bool) {
        self.add(Reply::Integer(value.into()));
    }
    fn big_number(&mut self, digits: &[u8]) {
        self.add(Reply::Bulk(text(digits)));
    }
    fn verbatim(&mut self, _: [u8; 3], bytes: &[u8]) {
        self.add(Reply::Bulk(text(bytes)));
    }
    fn attribute(&mut self, _: usize) {
        panic!("RESP2 has no attributes");
    }
    fn encoded(&mut self, _: &[u8]) {
        panic!("nothing is encoded here");
    }
}
