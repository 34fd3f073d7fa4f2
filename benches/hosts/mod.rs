//! The shard that the benches of scripts run over, which costs next to nothing, and where their replies go.

use ringkeep_shards::reply::{Protocol, ReplySink};
use ringkeep_shards::script::{CallEnd, LogLevel, ScriptFlags, ScriptHost};
use std::hint::black_box;

/// What every command answers with.
pub const VALUE: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Answers every command with 64 bytes.
pub struct Host;

impl ScriptHost for Host {
    fn begin(&mut self, _: ScriptFlags, _: bool) -> Result<(), &'static str> {
        Ok(())
    }

    fn expect(&mut self, _: &[&[u8]]) {}

    fn passed_on(&mut self, _: &[u8]) {}

    fn call(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd {
        black_box(arguments);
        reply.bulk(VALUE);
        CallEnd::Done
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn set_protocol(&mut self, _: Protocol) {}

    fn acl_check(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

/// Adds up what is written: integers as they are, texts by their length. An error ends the bench.
#[derive(Default)]
pub struct Sum(pub i64);

impl ReplySink for Sum {
    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }
    fn simple_bytes(&mut self, text: &[u8]) {
        self.0 += text.len() as i64;
    }
    fn error_bytes(&mut self, text: &[u8]) {
        panic!("{}", text.escape_ascii());
    }
    fn integer(&mut self, value: i64) {
        self.0 += value;
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.0 += black_box(bytes).len() as i64;
    }
    fn null(&mut self) {
        self.0 += 1;
    }
    fn null_array(&mut self) {
        self.0 += 1;
    }
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn push(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn boolean(&mut self, _: bool) {}
    fn big_number(&mut self, _: &[u8]) {}
    fn verbatim(&mut self, _: [u8; 3], _: &[u8]) {}
    fn attribute(&mut self, _: usize) {}
    fn encoded(&mut self, _: &[u8]) {}
}
