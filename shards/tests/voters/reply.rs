//! Replies as text: `OK`, `:1`, `"bulk"`, `nil`, `-ERR ...`, `[a, b]`.

use ringkeep_shards::reply::{Protocol, ReplySink};

/// A reply that is being written.
#[derive(Default)]
pub struct Text {
    text: String,
    /// Elements that each open array still lacks.
    open: Vec<usize>,
}

impl Text {
    /// The reply.
    pub fn finish(self) -> String {
        assert!(self.open.is_empty(), "elements are missing: {}", self.text);
        self.text
    }

    fn element(&mut self, text: &str) {
        self.text.push_str(text);
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                self.text.push_str(", ");
                return;
            }
            self.open.pop();
            self.text.push(']');
        }
    }
}

impl ReplySink for Text {
    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }

    fn simple_bytes(&mut self, text: &[u8]) {
        self.element(&String::from_utf8_lossy(text));
    }

    fn error_bytes(&mut self, text: &[u8]) {
        self.element(&format!("-{}", String::from_utf8_lossy(text)));
    }

    fn integer(&mut self, value: i64) {
        self.element(&format!(":{value}"));
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.element(&format!("\"{}\"", bytes.escape_ascii()));
    }

    fn null(&mut self) {
        self.element("nil");
    }

    fn null_array(&mut self) {
        self.element("nil");
    }

    fn array(&mut self, len: usize) {
        self.text.push('[');
        if len == 0 {
            self.element("]");
        } else {
            self.open.push(len);
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
        self.element(&value.to_string());
    }

    fn boolean(&mut self, value: bool) {
        self.integer(i64::from(value));
    }

    fn big_number(&mut self, digits: &[u8]) {
        self.element(&String::from_utf8_lossy(digits));
    }

    fn verbatim(&mut self, _: [u8; 3], text: &[u8]) {
        self.bulk(text);
    }

    fn attribute(&mut self, _: usize) {
        panic!("no command of a shard has attributes");
    }

    fn encoded(&mut self, bytes: &[u8]) {
        self.element(&bytes.escape_ascii().to_string());
    }
}
