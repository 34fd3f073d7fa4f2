//! A shard for the tests: strings by key, a few commands, and replies of every type; and a sink that writes the wire form.

use super::{CallEnd, Interrupt, LogLevel, Script, ScriptEnd, ScriptEngine, ScriptFlags, ScriptHost, ScriptLimits};
use crate::reply::{Protocol, ReplySink};
use std::collections::BTreeMap;

/// Encodes a reply, so that tests compare bytes.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) protocol: Protocol,
    pub(super) bytes: Vec<u8>,
}

impl Wire {
    fn line(&mut self, kind: char, rest: impl std::fmt::Display) {
        self.bytes.extend_from_slice(format!("{kind}{rest}\r\n").as_bytes());
    }

    fn line_of_bytes(&mut self, kind: u8, rest: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }
}

impl ReplySink for Wire {
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn simple_bytes(&mut self, text: &[u8]) {
        self.line_of_bytes(b'+', text);
    }
    fn error_bytes(&mut self, text: &[u8]) {
        let text: Vec<u8> = text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
        self.line_of_bytes(b'-', &text);
    }
    fn integer(&mut self, value: i64) {
        self.line(':', value);
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.line('$', bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }
    fn null(&mut self) {
        if self.is_resp3() { self.line('_', "") } else { self.line('$', -1) }
    }
    fn null_array(&mut self) {
        if self.is_resp3() { self.line('_', "") } else { self.line('*', -1) }
    }
    fn array(&mut self, len: usize) {
        self.line('*', len);
    }
    fn map(&mut self, pairs: usize) {
        if self.is_resp3() { self.line('%', pairs) } else { self.line('*', pairs * 2) }
    }
    fn set(&mut self, len: usize) {
        self.line(if self.is_resp3() { '~' } else { '*' }, len);
    }
    fn push(&mut self, len: usize) {
        self.line(if self.is_resp3() { '>' } else { '*' }, len);
    }
    fn double(&mut self, value: f64) {
        if self.is_resp3() { self.line(',', value) } else { self.bulk(value.to_string().as_bytes()) }
    }
    fn boolean(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.line('#', 't'),
            (true, false) => self.line('#', 'f'),
            (false, _) => self.integer(value.into()),
        }
    }
    fn big_number(&mut self, digits: &[u8]) {
        if self.is_resp3() { self.line_of_bytes(b'(', digits) } else { self.bulk(digits) }
    }
    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.is_resp3() {
            let body = [&format[..], b":", text].concat();
            self.line('=', body.len());
            self.bytes.extend_from_slice(&body);
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }
    fn attribute(&mut self, pairs: usize) {
        self.line('|', pairs);
    }
    fn encoded(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// The shard.
#[derive(Default)]
pub(super) struct FakeHost {
    pub(super) data: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) logged: Vec<(LogLevel, String)>,
    pub(super) calls: usize,
    pub(super) protocol: Protocol,
    pub(super) read_only: bool,
    /// Calls of GET for this key abandon the run.
    pub(super) cold_key: Option<Vec<u8>>,
}

const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const ARITY: &str = "ERR Wrong number of args calling Redis command from script";

impl ScriptHost for FakeHost {
    fn begin(&mut self, flags: ScriptFlags, read_only: bool) -> Result<(), &'static str> {
        self.read_only = read_only || flags.no_writes;
        if flags.no_cluster { Err("ERR Can not run script on cluster, 'no-cluster' flag is set.") } else { Ok(()) }
    }

    fn expect(&mut self, _: &[&[u8]]) {}

    fn passed_on(&mut self, _: &[u8]) {}

    fn call(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd {
        self.calls += 1;
        let name = String::from_utf8_lossy(arguments[0]).to_ascii_lowercase();
        if matches!(&*name, "set" | "incr") && self.read_only {
            reply.error("ERR Write commands are not allowed from read-only scripts.");
            return CallEnd::Done;
        }
        match (&*name, &arguments[1..]) {
            ("get", [key]) if self.cold_key.as_deref() == Some(*key) => return CallEnd::Abandon,
            ("get", [key]) => match self.data.get(*key) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            },
            ("set", [key, value]) => {
                self.data.insert(key.to_vec(), value.to_vec());
                reply.ok();
            }
            ("set", [_, _, _, ..]) => reply.error("ERR syntax error"),
            ("incr", [key]) => {
                let text = self.data.get(*key).map_or(&b"0"[..], |value| value);
                match std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()) {
                    Some(number) => {
                        self.data.insert(key.to_vec(), (number + 1).to_string().into_bytes());
                        reply.integer(number + 1);
                    }
                    None => reply.error("ERR value is not an integer or out of range"),
                }
            }
            ("echo", [text]) => reply.bulk(text),
            ("mget", keys) => {
                reply.array(keys.len());
                for key in keys {
                    match self.data.get(*key) {
                        Some(value) => reply.bulk(value),
                        None => reply.null(),
                    }
                }
            }
            ("get" | "set" | "incr" | "echo", _) => reply.error(ARITY),
            // What follows exists only here: a reply of each type.
            ("reply", [b"map"]) => {
                reply.map(2);
                reply.bulk(b"a");
                reply.integer(1);
                reply.bulk(b"b");
                reply.array(2);
                reply.boolean(true);
                reply.null();
            }
            ("reply", [b"set"]) => {
                reply.set(2);
                reply.bulk(b"x");
                reply.bulk(b"y");
            }
            ("reply", [b"double"]) => reply.double(1.5),
            ("reply", [b"boolean"]) => reply.boolean(true),
            ("reply", [b"big"]) => reply.big_number(b"123456789012345678901234567890"),
            ("reply", [b"verbatim"]) => reply.verbatim(*b"txt", b"some text"),
            ("reply", [b"empty"]) => {
                reply.array(3);
                reply.array(0);
                reply.map(0);
                reply.set(0);
            }
            ("reply", [b"attribute"]) => {
                reply.attribute(1);
                reply.bulk(b"ttl");
                reply.array(1);
                reply.integer(5);
                reply.bulk(b"value");
            }
            ("reply", [b"error-inside"]) => {
                reply.array(2);
                reply.error("ERR inside");
                reply.integer(1);
            }
            ("reply", [b"nested", depth]) => {
                let depth: usize = std::str::from_utf8(depth).unwrap().parse().unwrap();
                for _ in 0..depth {
                    reply.array(1);
                }
                reply.integer(1);
            }
            ("reply", [b"encoded", bytes]) => reply.encoded(bytes),
            ("reply", [b"large", bytes]) => {
                let bytes: usize = std::str::from_utf8(bytes).unwrap().parse().unwrap();
                let mut value = vec![b'x'; bytes];
                // Equal strings are one string to Lua.
                value.extend_from_slice(self.calls.to_string().as_bytes());
                reply.bulk(&value);
            }
            ("panic", []) => panic!("the host panics"),
            _ => reply.error(UNKNOWN),
        }
        CallEnd::Done
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.logged.push((level, String::from_utf8_lossy(message).into_owned()));
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn acl_check(&mut self, arguments: &[&[u8]]) -> Option<bool> {
        match arguments[0] {
            b"get" => Some(true),
            b"set" => Some(false),
            _ => None,
        }
    }
}

/// An engine with its shard.
pub(super) struct Bench {
    pub(super) engine: ScriptEngine,
    pub(super) host: FakeHost,
    pub(super) protocol: Protocol,
}

impl Bench {
    pub(super) fn new() -> Self {
        Bench::with_memory(ScriptLimits::default().memory_bytes_max)
    }

    pub(super) fn with_memory(memory_bytes_max: usize) -> Self {
        let limits = ScriptLimits { memory_bytes_max, ..ScriptLimits::default() };
        let engine = ScriptEngine::new(limits, Interrupt::default()).unwrap();
        Bench { engine, host: FakeHost::default(), protocol: Protocol::Resp2 }
    }

    pub(super) fn run(&mut self, source: &str, keys: &[&str], arguments: &[&str]) -> (ScriptEnd, String) {
        let mut wire = Wire { protocol: self.protocol, ..Wire::default() };
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        let script = Script::Source(source.as_bytes());
        let end = self.engine.run(script, &keys, &arguments, false, &mut self.host, &mut wire);
        if let ScriptEnd::Refused(text) = end {
            wire.error(text);
        }
        (end, String::from_utf8_lossy(&wire.bytes).into_owned())
    }

    /// Runs a script without keys; its reply, with the script's digest written as `<sha>`.
    pub(super) fn eval(&mut self, source: &str) -> String {
        let digest = super::ScriptDigest::of(source.as_bytes());
        self.run(source, &[], &[]).1.replace(digest.as_str(), "<sha>")
    }
}
