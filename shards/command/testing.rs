//! A shard for tests of commands: runs them as text and renders their replies as text.
//!
//! Every command is run twice: the first run is undone and must leave nothing behind; the second one's effects are applied to a
//! follower, which must end up equal. So each test of a command tests its effects and their inverses too.

use crate::command::call::{Arguments, Call, Entropy};
use crate::command::command::{Run, ShardHandler};
use crate::command::failure::Failure;
use crate::command::table::{find, find_subcommand};
use crate::ids::{SegmentId, ShardId};
use crate::keyspace::{ColdRange, DatabaseIndex, Effect, Effects, Keyspace, NewValue, Segments};
use crate::limits::DATABASES_MAX;
use crate::log::{LogPosition, SegmentRole};
use crate::reply::{Protocol, ReplySink};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Strings of this many bytes or more live in the log.
pub(crate) const LARGE_BYTES_MIN: usize = 1024;
/// Beyond this, comparing whole keyspaces after each command takes too long, and is left out.
const COMPARED_BYTES_MAX: usize = 1 << 20;
const SEED: u64 = 7;

/// What a keyspace holds: (database, key) to (value, expiry).
pub(crate) type Contents = BTreeMap<(DatabaseIndex, Vec<u8>), (Vec<u8>, u64)>;

/// One shard with its follower.
pub(crate) struct TestShard {
    pub(crate) keyspace: Keyspace,
    follower: Keyspace,
    pub(crate) segments: TestSegments,
    entropy: Entropy,
    pub(crate) db: DatabaseIndex,
    /// Which shard it says it is, of how many.
    pub(crate) shard: ShardId,
    pub(crate) shards: u16,
    pub(crate) protocol: Protocol,
    pub(crate) string_bytes_max: usize,
    /// How often a command met a cold value and was run again.
    pub(crate) cold_runs: usize,
    effects: Vec<String>,
}

/// A keyspace whose large strings have a segment to lie in.
fn with_a_segment() -> Keyspace {
    let mut keyspace = Keyspace::new(SEED, LARGE_BYTES_MIN);
    keyspace.segments_mut().add(SegmentId(1), SegmentRole::Log, u64::MAX);
    keyspace
}

impl TestShard {
    pub(crate) fn new() -> Self {
        let mut shard = TestShard {
            keyspace: with_a_segment(),
            follower: Keyspace::new(SEED, LARGE_BYTES_MIN),
            segments: TestSegments::default(),
            entropy: Entropy::new(1),
            db: 0,
            shard: ShardId(0),
            shards: 1,
            protocol: Protocol::Resp2,
            string_bytes_max: 512 << 20,
            cold_runs: 0,
            effects: Vec::new(),
        };
        shard.set_now(1_700_000_000_000);
        shard
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.keyspace.now_ms()
    }

    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.keyspace.set_now(now_ms);
        self.follower.set_now(now_ms);
    }

    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.set_now(self.now_ms() + ms);
    }

    /// Runs a command given as in redis-cli: words, or `"..."` with `\n`, `\r`, `\t`, `\"`, `\\` and `\x00`.
    /// Replies: `OK`, `:1`, `"bulk"`, `nil`, `nil-array`, `-ERR ...`, `[a, b]`, `{key: value}`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words = words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.run_words(&words)
    }

    /// Runs a command given as arguments.
    pub(crate) fn run_words(&mut self, words: &[&[u8]]) -> String {
        let compared = self.keyspace.memory_bytes() < COMPARED_BYTES_MAX;
        let before = compared.then(|| contents(&self.keyspace, &self.segments));
        let entropy = self.entropy.clone();
        let mark = self.keyspace.mark();
        let first = self.attempt(words);
        self.keyspace.undo_to(mark);
        if let Some(before) = &before {
            assert_eq!(&contents(&self.keyspace, &self.segments), before, "an undone command left something behind");
        }
        self.entropy = entropy;
        let reply = self.attempt(words);
        assert_eq!(reply, first, "a command that is run again says the same");
        self.keyspace.remove_met_expired();
        self.keyspace.take_gate();
        self.replicate();
        if compared && self.keyspace.memory_bytes() < COMPARED_BYTES_MAX {
            let (leader, follower) =
                (contents(&self.keyspace, &self.segments), contents(&self.follower, &self.segments));
            assert_eq!(leader, follower, "a follower holds something else");
        }
        reply
    }

    /// Runs a handler that is no row's, or whose undo and effects are tested elsewhere: once.
    pub(crate) fn run_handler(&mut self, handler: ShardHandler, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let mut reply = Recorder::new(self.protocol);
        if let Err(failure) = self.call(handler, &words, &mut reply) {
            reply = Recorder::new(self.protocol);
            failure.write(&mut reply);
        }
        reply.finish()
    }

    /// Gives a key a string and an expiry, without a command and without showing among the effects.
    pub(crate) fn put(&mut self, key: &str, value: &str, expires_ms: u64) {
        self.keyspace.put(self.db, key.as_bytes(), NewValue::Bytes(value.as_bytes()), expires_ms);
        let effects = self.effects.len();
        self.replicate();
        self.effects.truncate(effects);
    }

    /// The effects of all commands since the last call, as text.
    pub(crate) fn take_effects(&mut self) -> Vec<String> {
        std::mem::take(&mut self.effects)
    }

    /// Large strings leave the memory: the next command that reads one is run again.
    pub(crate) fn cool(&mut self) {
        self.keyspace.cool_to(0);
        self.segments.resident.borrow_mut().clear();
    }

    fn replicate(&mut self) {
        let Some(closed) = self.keyspace.close_batch() else { return };
        let (_, effects) = Effects::of_body(&closed.body).expect("a body begins with its timestamp");
        for effect in effects {
            let effect = effect.expect("what was encoded is read");
            self.effects.push(render_effect(&effect));
            self.follower.apply(effect, None, &self.segments);
        }
        self.follower.applied();
        for (string, at) in &closed.large {
            let bytes = &closed.body[*at..*at + string.len()];
            let offset = self.segments.bytes.len() as u64;
            self.segments.bytes.extend_from_slice(bytes);
            let place = LogPosition { segment: SegmentId(1), offset, bytes: bytes.len() as u64 };
            self.keyspace.placed(string, place);
        }
        self.keyspace.delivered(closed.batch);
    }

    fn attempt(&mut self, words: &[&[u8]]) -> String {
        loop {
            let mark = self.keyspace.mark();
            let mut reply = Recorder::new(self.protocol);
            match self.dispatch(words, &mut reply) {
                Ok(()) => return reply.finish(),
                Err(Failure::Cold(range)) => {
                    self.keyspace.undo_to(mark);
                    self.segments.resident.borrow_mut().push(range);
                    self.cold_runs += 1;
                    assert!(self.cold_runs < 10_000, "a value stays cold");
                }
                Err(failure) => {
                    let mut reply = Recorder::new(self.protocol);
                    failure.write(&mut reply);
                    return reply.finish();
                }
            }
        }
    }

    fn dispatch(&mut self, words: &[&[u8]], reply: &mut Recorder) -> Result<(), Failure> {
        let mut command = find(words[0]).unwrap_or_else(|| panic!("{} is no command", words[0].escape_ascii()));
        if matches!(command.run, Run::Container) && words.len() > 1 {
            command = find_subcommand(command, words[1]).expect("the subcommand exists");
        }
        if !command.arity_fits(words.len()) {
            return Err(Failure::WrongArity(command.name));
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            _ => panic!("{} does not run in a shard", command.name),
        };
        self.call(handler, words, reply)
    }

    fn call(&mut self, handler: ShardHandler, words: &[&[u8]], reply: &mut Recorder) -> Result<(), Failure> {
        let mut call = Call {
            keyspace: &mut self.keyspace,
            db: self.db,
            segments: &self.segments,
            shard: self.shard,
            shards: self.shards,
            databases: DATABASES_MAX,
            string_bytes_max: self.string_bytes_max,
            entropy: &mut self.entropy,
        };
        handler(&mut call, Arguments::new(words), reply)
    }
}

/// Everything that a keyspace holds and that has not expired.
pub(crate) fn contents(keyspace: &Keyspace, segments: &TestSegments) -> Contents {
    let mut contents = Contents::new();
    for db in 0..DATABASES_MAX {
        for entry in keyspace.tip(db).filter(|entry| !entry.expired(keyspace.now_ms())) {
            let bytes = entry.value().bytes(&AllResident(segments)).expect("tests keep every byte").to_vec();
            contents.insert((db, entry.key().to_vec()), (bytes, entry.expires_ms()));
        }
    }
    contents
}

fn render_effect(effect: &Effect<'_>) -> String {
    let text = |bytes: &[u8]| {
        if bytes.len() > 40 { format!("{} bytes", bytes.len()) } else { format!("{}", bytes.escape_ascii()) }
    };
    match *effect {
        Effect::Put { key, value, expires_ms: 0, .. } => format!("put {} {}", text(key), text(value)),
        Effect::Put { key, value, expires_ms, .. } => format!("put {} {} until {expires_ms}", text(key), text(value)),
        Effect::PutReference { key, len, .. } => format!("put {} {len} bytes elsewhere", text(key)),
        Effect::Remove { key, .. } => format!("remove {}", text(key)),
        Effect::Expire { key, expires_ms, .. } => format!("expire {} at {expires_ms}", text(key)),
        Effect::Append { key, tail, .. } => format!("append {} {}", text(key), text(tail)),
        Effect::Splice { key, offset, bytes, .. } => format!("splice {} {offset} {}", text(key), text(bytes)),
        Effect::Rename { db, key, to_db, to } => format!("rename {db}:{} {to_db}:{}", text(key), text(to)),
        Effect::Copy { db, key, to_db, to } => format!("copy {db}:{} {to_db}:{}", text(key), text(to)),
        Effect::Flush { db } => format!("flush {db}"),
        Effect::LibraryPut { name, code } => format!("library {} {}", text(name), text(code)),
        Effect::LibraryRemove { name } => format!("no library {}", text(name)),
        Effect::LibrariesFlush => "no libraries".to_owned(),
    }
}

/// One segment, of which only the ranges that were asked for can be read.
#[derive(Default)]
pub(crate) struct TestSegments {
    bytes: Vec<u8>,
    resident: RefCell<Vec<ColdRange>>,
}

impl TestSegments {
    /// The ranges that were cold, and brought in.
    pub(crate) fn brought_in(&self) -> Vec<(u64, usize)> {
        self.resident.borrow().iter().map(|range| (range.offset, range.len)).collect()
    }

    fn slice(&self, range: ColdRange) -> &[u8] {
        &self.bytes[range.offset as usize..][..range.len]
    }
}

impl Segments for TestSegments {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        self.resident.borrow().contains(&range).then(|| self.slice(range))
    }
}

struct AllResident<'a>(&'a TestSegments);

impl Segments for AllResident<'_> {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        Some(self.0.slice(range))
    }
}

/// A reply sink that writes text, and checks that aggregates get as many elements as they said.
pub(crate) struct Recorder {
    protocol: Protocol,
    text: String,
    open: Vec<Open>,
    replies: usize,
}

struct Open {
    left: usize,
    close: char,
    map: bool,
}

impl Recorder {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Recorder { protocol, text: String::new(), open: Vec::new(), replies: 0 }
    }

    /// The reply.
    ///
    /// # Panics
    /// If it is not one whole reply.
    pub(crate) fn finish(self) -> String {
        assert!(self.open.is_empty(), "elements are missing: {}", self.text);
        assert_eq!(self.replies, 1, "one reply: {}", self.text);
        self.text
    }

    fn element(&mut self, text: &str) {
        self.text.push_str(text);
        self.closed();
    }

    fn closed(&mut self) {
        loop {
            let Some(open) = self.open.last_mut() else {
                self.replies += 1;
                return;
            };
            open.left -= 1;
            if open.left > 0 {
                let separator = if open.map && open.left % 2 == 1 { ": " } else { ", " };
                self.text.push_str(separator);
                return;
            }
            self.text.push(open.close);
            self.open.pop();
        }
    }

    fn aggregate(&mut self, len: usize, open: char, close: char, map: bool) {
        self.text.push(open);
        if len == 0 {
            self.text.push(close);
            self.closed();
        } else {
            self.open.push(Open { left: len, close, map });
        }
    }

    fn resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }
}

impl ReplySink for Recorder {
    fn protocol(&self) -> Protocol {
        self.protocol
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
        self.element(if self.resp3() { "nil" } else { "nil-array" });
    }

    fn array(&mut self, len: usize) {
        self.aggregate(len, '[', ']', false);
    }

    fn map(&mut self, pairs: usize) {
        if self.resp3() {
            self.aggregate(pairs * 2, '{', '}', true);
        } else {
            self.array(pairs * 2);
        }
    }

    fn set(&mut self, len: usize) {
        if self.resp3() {
            self.aggregate(len, '(', ')', false);
        } else {
            self.array(len);
        }
    }

    fn push(&mut self, len: usize) {
        self.aggregate(len, '>', '<', false);
    }

    fn double(&mut self, value: f64) {
        self.element(&format!("{value}"));
    }

    fn boolean(&mut self, value: bool) {
        self.element(&if self.resp3() { format!("{value}") } else { format!(":{}", i32::from(value)) });
    }

    fn big_number(&mut self, digits: &[u8]) {
        self.element(&String::from_utf8_lossy(digits));
    }

    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.resp3() {
            self.element(&format!("{}:\"{}\"", format.escape_ascii(), text.escape_ascii()));
        } else {
            self.bulk(text);
        }
    }

    fn attribute(&mut self, _: usize) {
        panic!("no command of a shard has attributes");
    }

    fn encoded(&mut self, _: &[u8]) {
        panic!("no command of a shard copies a reply");
    }

    fn switch_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }
}

fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim().as_bytes();
    while !rest.is_empty() {
        let mut word = Vec::new();
        if rest[0] == b'"' {
            rest = &rest[1..];
            loop {
                match rest {
                    [b'"', after @ ..] => {
                        rest = after;
                        break;
                    }
                    [b'\\', b'x', high, low, after @ ..] => {
                        let hex = |digit: u8| (digit as char).to_digit(16).expect("a hex digit") as u8;
                        word.push(hex(*high) << 4 | hex(*low));
                        rest = after;
                    }
                    [b'\\', escaped, after @ ..] => {
                        word.push(match escaped {
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            other => *other,
                        });
                        rest = after;
                    }
                    [byte, after @ ..] => {
                        word.push(*byte);
                        rest = after;
                    }
                    [] => panic!("a quote is not closed: {line}"),
                }
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            word.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    words
}

#[test]
fn the_harness_renders_nested_replies_and_counts_their_elements() {
    let mut reply = Recorder::new(Protocol::Resp3);
    reply.array(3);
    reply.integer(1);
    reply.map(1);
    reply.bulk(b"k\x00");
    reply.array(0);
    reply.null();
    assert_eq!(reply.finish(), "[:1, {\"k\\x00\": []}, nil]");
    assert_eq!(words(r#"SET "a b" "\x00\n\"" c"#), [&b"SET"[..], b"a b", b"\x00\n\"", b"c"]);
}

#[test]
fn large_strings_cool_and_are_brought_in_by_a_second_run() {
    let mut shard = TestShard::new();
    let value = vec![b'v'; LARGE_BYTES_MIN];
    assert_eq!(shard.run_words(&[b"SET", b"k", &value]), "OK");
    assert_eq!(shard.run_words(&[b"GET", b"k"]).len(), LARGE_BYTES_MIN + 2);
    assert_eq!(shard.cold_runs, 0);
    shard.cool();
    assert_eq!(shard.run_words(&[b"GET", b"k"]).len(), LARGE_BYTES_MIN + 2);
    assert_eq!(shard.cold_runs, 1);
    assert_eq!(shard.take_effects(), ["put k 1024 bytes"]);
}
