//! Tests run commands of the table here: one shard without a log.

use crate::command::call::{Arguments, Call, Entropy};
use crate::command::command::{Run, ShardHandler};
use crate::command::{find, find_subcommand};
use crate::ids::ShardId;
use crate::keyspace::{ColdRange, DatabaseIndex, Keyspace, Mark, NewValue, Segments};
use crate::reply::{Protocol, ReplySink};

/// Strings of this many bytes or more are large here.
pub(super) const LARGE_BYTES_MIN: usize = 1 << 16;

/// A shard that runs commands and prints their replies, elements separated by spaces.
pub(super) struct Probe {
    pub(super) keyspace: Keyspace,
    pub(super) db: DatabaseIndex,
    pub(super) shard: ShardId,
    pub(super) shards: u16,
    pub(super) protocol: Protocol,
    entropy: Entropy,
    mark: Mark,
}

struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}

impl Probe {
    pub(super) fn new() -> Self {
        let mut keyspace = Keyspace::new(7, LARGE_BYTES_MIN);
        keyspace.set_now(1_700_000_000_000);
        let mark = keyspace.mark();
        Probe {
            keyspace,
            db: 0,
            shard: ShardId(0),
            shards: 1,
            protocol: Protocol::Resp2,
            entropy: Entropy::new(1),
            mark,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.keyspace.now_ms()
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        self.keyspace.set_now(self.now_ms() + ms);
    }

    pub(super) fn put(&mut self, key: &str, value: &str, expires_ms: u64) {
        self.keyspace.put(self.db, key.as_bytes(), NewValue::Bytes(value.as_bytes()), expires_ms);
    }

    /// Whether anything was written since this was last asked.
    pub(super) fn wrote(&mut self) -> bool {
        let wrote = self.keyspace.wrote_since(self.mark);
        self.mark = self.keyspace.mark();
        wrote
    }

    /// Runs a command whose arguments are separated by single spaces.
    pub(super) fn run(&mut self, line: &str) -> String {
        let list: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run_list(&list)
    }

    pub(super) fn run_list(&mut self, list: &[&[u8]]) -> String {
        let mut command = find(list[0]).expect("the command exists");
        if !command.subcommands.is_empty() && list.len() > 1 {
            command = find_subcommand(command, list[1]).expect("the subcommand exists");
        }
        if !command.arity_fits(list.len()) {
            return format!("-ERR wrong number of arguments for '{}' command", command.name);
        }
        let (Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler)) =
            command.run
        else {
            panic!("{} does not run in a shard", command.name);
        };
        self.run_handler(list, handler)
    }

    /// Runs a handler that is no row's.
    pub(super) fn call(&mut self, list: &[&str], handler: ShardHandler) -> String {
        let list: Vec<&[u8]> = list.iter().map(|argument| argument.as_bytes()).collect();
        self.run_handler(&list, handler)
    }

    fn run_handler(&mut self, list: &[&[u8]], handler: ShardHandler) -> String {
        let mut reply = Printed { protocol: self.protocol, text: String::new() };
        let mut call = Call {
            keyspace: &mut self.keyspace,
            db: self.db,
            segments: &NoSegments,
            shard: self.shard,
            shards: self.shards,
            databases: 16,
            string_bytes_max: 1 << 29,
            entropy: &mut self.entropy,
        };
        if let Err(failure) = handler(&mut call, Arguments::new(list), &mut reply) {
            assert!(reply.text.is_empty(), "a command that fails has not replied");
            failure.write(&mut reply);
        }
        self.keyspace.remove_met_expired();
        reply.text.trim_end().to_owned()
    }
}

/// A reply as text: RESP without lengths of strings, a space after each part.
#[derive(Default)]
pub(super) struct Printed {
    pub(super) protocol: Protocol,
    pub(super) text: String,
}

impl Printed {
    fn part(&mut self, part: &str) {
        self.text.push_str(part);
        self.text.push(' ');
    }
}

impl ReplySink for Printed {
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn simple(&mut self, text: &str) {
        self.part(&format!("+{text}"));
    }
    fn error(&mut self, text: &str) {
        self.part(&format!("-{text}"));
    }
    fn integer(&mut self, value: i64) {
        self.part(&format!(":{value}"));
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.part(&format!("${}", bytes.escape_ascii()));
    }
    fn null(&mut self) {
        self.part("_");
    }
    fn null_array(&mut self) {
        self.part("*_");
    }
    fn array(&mut self, len: usize) {
        self.part(&format!("*{len}"));
    }
    fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(pairs * 2),
            Protocol::Resp3 => self.part(&format!("%{pairs}")),
        }
    }
    fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.part(&format!("~{len}")),
        }
    }
    fn push(&mut self, len: usize) {
        self.part(&format!(">{len}"));
    }
    fn double(&mut self, value: f64) {
        self.part(&format!(",{value}"));
    }
    fn boolean(&mut self, value: bool) {
        self.part(if value { "#t" } else { "#f" });
    }
    fn big_number(&mut self, digits: &str) {
        self.part(&format!("({digits}"));
    }
    fn verbatim(&mut self, format: &str, text: &[u8]) {
        self.part(&format!("={format}:{}", text.escape_ascii()));
    }
    fn attribute(&mut self, pairs: usize) {
        self.part(&format!("|{pairs}"));
    }
    fn encoded(&mut self, bytes: &[u8]) {
        self.part(&String::from_utf8_lossy(bytes));
    }
}
