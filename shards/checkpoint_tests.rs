//! A whole shard on a disk of bytes: checkpoints at any moment, restarts at any moment, and what is there afterwards.

use crate::command::testing::Recorder;
use crate::command::{Arguments, find, find_subcommand};
use crate::ids::{SegmentId, ShardId};
use crate::keyspace::{ColdRange, LibrarySet, Segments};
use crate::limits::DATABASES_MAX;
use crate::log::{LogConfig, LogIdentity, LogWrite, SegmentRole};
use crate::lost::REFUSED;
use crate::open::{FoundFile, OpenConfig, OpenError, Opened, open_lone};
use crate::port::{CheckpointOrder, Gate, Input, Now, Outcome, Outputs, Request};
use crate::reply::Protocol;
use crate::script::ScriptLimits;
use crate::shard::{Shard, ShardConfig};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 16 << 10;
const LARGE_BYTES_MIN: usize = 1 << 10;

/// What a file system holds: name to bytes.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    files: BTreeMap<SegmentId, (SegmentRole, Vec<u8>)>,
    /// A checkpoint without its name.
    unfinished: Option<Vec<u8>>,
    /// What was brought in since all was cold; none if nothing ever gets cold.
    pub(crate) warm: Option<Vec<ColdRange>>,
}

impl Disk {
    fn read(&self, range: ColdRange) -> &[u8] {
        &self.files[&range.segment].1[range.offset as usize..][..range.len]
    }

    pub(crate) fn bring_in(&mut self, range: ColdRange) {
        self.warm.as_mut().expect("something was cold").push(range);
    }
}

impl Segments for Disk {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        let there = self.warm.as_ref().is_none_or(|warm| warm.contains(&range));
        there.then(|| self.read(range))
    }
}

/// Where waiting for the disk does not matter.
struct Unhurried<'a>(&'a Disk);

impl Segments for Unhurried<'_> {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        Some(self.0.read(range))
    }
}

/// Stands for the database of libraries among what there is.
const LIBRARIES: u8 = u8::MAX;

/// A shard and what it runs on.
pub(crate) struct Machine {
    pub(crate) shard: Shard,
    pub(crate) disk: Disk,
    pub(crate) outputs: Outputs,
    writing: Option<LogWrite>,
    orders: VecDeque<CheckpointOrder>,
    segment: Option<crate::port::SegmentWanted>,
    pub(crate) now_ms: u64,
    full: bool,
}

impl Machine {
    fn open(disk: &Disk) -> Result<Opened, OpenError> {
        Self::open_with(disk, Self::config())
    }

    pub(crate) fn config() -> ShardConfig {
        ShardConfig {
            shard: ShardId(0),
            shards: 1,
            databases: 16,
            string_bytes_max: 1 << 20,
            memory_bytes_max: 0,
            warm_bytes_max: 0,
            segment_bytes: SEGMENT_BYTES,
            checkpoint_growth_percent: 100,
            entropy: 1,
            script: ScriptLimits::default(),
            script_time_limit_ms: 0,
            interrupt: Default::default(),
        }
    }

    fn open_with(disk: &Disk, config: ShardConfig) -> Result<Opened, OpenError> {
        let identity = LogIdentity { shard: ShardId(0), salt: 5 };
        let open = OpenConfig {
            identity,
            log: LogConfig { segment_bytes: SEGMENT_BYTES, block_bytes: 512 },
            hash_seed: 3,
            large_bytes_min: LARGE_BYTES_MIN,
        };
        let found: Vec<_> =
            disk.files.iter().map(|(&segment, (role, bytes))| FoundFile { segment, role: *role, bytes }).collect();
        open_lone(config, open, &found, &Unhurried(disk))
    }

    fn start(disk: Disk, now_ms: u64) -> Self {
        Self::start_with(disk, now_ms, Self::config())
    }

    pub(crate) fn start_with(disk: Disk, now_ms: u64, config: ShardConfig) -> Self {
        let opened = Self::open_with(&disk, config).unwrap_or_else(|error| panic!("{error}"));
        let mut machine = Machine {
            shard: opened.shard,
            disk,
            outputs: Outputs::default(),
            writing: None,
            orders: VecDeque::new(),
            segment: None,
            now_ms,
            full: false,
        };
        machine.step(Input::EndOfTick);
        machine.settle_log();
        assert!(machine.shard.is_serving());
        machine
    }

    pub(crate) fn step(&mut self, input: Input<'_>) -> Outcome {
        let now = Now { unix_ms: self.now_ms, monotonic_us: self.now_ms * 1000 };
        self.shard.step(now, input, &self.disk, &mut self.outputs);
        if let Some(write) = self.outputs.write.take() {
            assert!(self.writing.replace(write).is_none(), "one write in flight");
        }
        self.orders.extend(self.outputs.checkpoint.drain(..));
        if let Some(wanted) = self.outputs.segment_wanted.take() {
            assert!(self.segment.replace(wanted).is_none(), "one segment is asked for at a time");
        }
        for (segment, role) in self.outputs.unneeded.drain(..) {
            let (found, _) = self.disk.files.remove(&segment).expect("it was there");
            assert_eq!(found, role);
        }
        std::mem::take(&mut self.outputs.outcome)
    }

    pub(crate) fn command(&mut self, words: &[&str]) -> String {
        let list: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let command = find(list[0]).expect("a command");
        let command = list.get(1).and_then(|name| find_subcommand(command, name)).unwrap_or(command);
        loop {
            let mut reply = Recorder::new(Protocol::Resp2);
            let request =
                Request { command, db: 0, arguments: Arguments::new(&list), reply: &mut reply, context: None };
            match self.step(Input::Request(request)) {
                Outcome::Done(_) => {
                    self.step(Input::EndOfTick);
                    return reply.finish();
                }
                Outcome::Cold(range) => self.disk.bring_in(range),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Does one thing that the shard waits for; whether there was any.
    pub(crate) fn one_completion(&mut self, pick: u64) -> bool {
        let log = self.writing.is_some();
        match pick % 3 {
            0 if log => {
                let write = self.writing.take().expect("it was just seen");
                let (_, bytes) = self.disk.files.get_mut(&write.segment).expect("a log writes to its segments");
                bytes[write.offset as usize..][..write.buffer.len()].copy_from_slice(&write.buffer);
                self.step(Input::Written(write));
            }
            1 if self.segment.is_some() => {
                let wanted = self.segment.take().expect("it was just seen");
                if self.full && wanted.recycle.is_none() {
                    self.step(Input::NoSpace);
                } else {
                    let bytes = match wanted.recycle {
                        Some(old) => self.disk.files.remove(&old).expect("it was there").1,
                        None => vec![0; wanted.bytes as usize],
                    };
                    self.disk.files.insert(wanted.segment, (SegmentRole::Log, bytes));
                    self.step(Input::Segment { segment: wanted.segment, bytes: wanted.bytes });
                }
            }
            2 if !self.orders.is_empty() => match self.orders.pop_front().expect("it was just seen") {
                CheckpointOrder::Begin { .. } => self.disk.unfinished = Some(Vec::new()),
                CheckpointOrder::Write { chunk } => {
                    let file = self.disk.unfinished.as_mut().expect("it was begun");
                    assert_eq!(file.len() as u64, chunk.offset);
                    file.extend_from_slice(&chunk.buffer);
                    self.step(Input::CheckpointWritten(chunk));
                }
                CheckpointOrder::BringIn { range } => {
                    self.disk.bring_in(range);
                    self.step(Input::CheckpointWarm);
                }
                CheckpointOrder::Publish { segment } => {
                    let bytes = self.disk.unfinished.take().expect("it was begun");
                    self.disk.files.insert(segment, (SegmentRole::Checkpoint, bytes));
                    self.step(Input::CheckpointPublished(segment));
                }
                CheckpointOrder::Drop { .. } => self.disk.unfinished = None,
            },
            _ => return log || self.segment.is_some() || !self.orders.is_empty(),
        }
        self.step(Input::EndOfTick);
        true
    }

    /// Completes everything but the checkpoint.
    pub(crate) fn settle_log(&mut self) {
        while self.writing.is_some() || self.segment.is_some() {
            self.one_completion(0);
            self.one_completion(1);
        }
    }

    pub(crate) fn settle(&mut self) {
        let mut pick = 0;
        while self.one_completion(pick) || self.shard.wants_turn() || self.shard.is_checkpoint_due() {
            self.step(Input::EndOfTick);
            pick += 1;
            assert!(pick < 1_000_000, "it settles");
        }
    }

    fn checkpoint(&mut self) {
        let before = self.shard.stats().checkpoints;
        self.now_ms += 2000;
        self.shard.want_checkpoint();
        self.step(Input::EndOfTick);
        self.settle();
        assert!(self.shard.stats().checkpoints > before);
    }

    /// Everything that a client can see, and when it expires; and the libraries.
    pub(crate) fn contents(&self) -> BTreeMap<(u8, Vec<u8>), (Vec<u8>, u64)> {
        let keyspace = self.shard.keyspace();
        let mut contents = BTreeMap::new();
        for (name, code) in keyspace.libraries_at_tip().iter() {
            contents.insert((LIBRARIES, name.to_vec()), (code.to_vec(), 0));
        }
        for db in 0..DATABASES_MAX {
            for entry in keyspace.tip(db).filter(|entry| !entry.expired(self.now_ms)) {
                let value = entry.value().bytes(&Unhurried(&self.disk)).expect("all can be read").to_vec();
                contents.insert((db, entry.key().to_vec()), (value, entry.expires_ms()));
            }
        }
        contents
    }

    /// The process is killed: what is on disk is all there is.
    pub(crate) fn restart(self) -> Self {
        let mut disk = self.disk;
        disk.unfinished = None;
        Machine::start(disk, self.now_ms)
    }

    fn log_files(&self) -> usize {
        self.disk.files.values().filter(|(role, _)| *role == SegmentRole::Log).count()
    }
}

#[test]
fn a_restart_reads_the_checkpoint_and_the_log_behind_it() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    let large = "x".repeat(3000);
    for n in 0..400 {
        machine.command(&["set", &format!("key:{n}"), &format!("{n}")]);
        machine.settle_log();
    }
    machine.command(&["set", "large", &large]);
    machine.command(&["set", "soon", "gone", "px", "5000"]);
    machine.settle_log();
    let before = machine.log_files();
    machine.checkpoint();
    assert!(machine.log_files() < before, "{before} log files, {} after the checkpoint", machine.log_files());
    machine.command(&["set", "key:1", "changed"]);
    machine.command(&["del", "key:2"]);
    machine.settle_log();
    let contents = machine.contents();
    let machine = machine.restart();
    assert_eq!(machine.contents(), contents);
    assert_eq!(contents.len(), 401);
    assert!(machine.shard.keyspace().segments().checkpoint().is_some());
}

#[test]
fn a_checkpoint_of_several_chunks_comes_to_its_end() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    let value = "v".repeat(900);
    for n in 0..5000 {
        machine.command(&["set", &format!("key:{n}"), &value]);
        machine.settle_log();
    }
    machine.checkpoint();
    assert!(machine.disk.files.values().any(|(role, bytes)| *role == SegmentRole::Checkpoint && bytes.len() > 4 << 20));
    assert_eq!(machine.restart().contents().len(), 5000);
}

#[test]
fn the_log_stays_bounded_by_what_lives() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    for n in 0..4000 {
        machine.command(&["set", &format!("key:{}", n % 50), &format!("{n}")]);
        machine.settle();
        machine.now_ms += 1;
    }
    assert!(machine.shard.stats().checkpoints > 5, "{:?}", machine.shard.stats());
    assert!(machine.disk.files.len() < 12, "{} files", machine.disk.files.len());
}

#[test]
fn values_of_mostly_dead_segments_come_along_so_that_the_segments_can_go() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    for n in 0..200 {
        machine.command(&["set", &format!("large:{n}"), &format!("{n}:{}", "y".repeat(2000))]);
        machine.settle_log();
    }
    for n in (0..200).filter(|n| n % 10 != 0) {
        machine.command(&["del", &format!("large:{n}")]);
        machine.settle_log();
    }
    // The values that come along are cold: they are brought in one by one.
    machine.disk.warm = Some(Vec::new());
    machine.checkpoint();
    assert!(machine.disk.warm.as_ref().is_some_and(|warm| !warm.is_empty()), "nothing had to be brought in");
    machine.checkpoint();
    machine.checkpoint();
    let contents = machine.contents();
    assert_eq!(contents.len(), 20);
    let bytes: usize = machine.disk.files.values().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 200_000, "{bytes} bytes for 40,000 that live");
    assert_eq!(machine.restart().contents(), contents);
}

#[test]
fn a_full_disk_refuses_writes_and_removals_make_room() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    for n in 0..30 {
        machine.command(&["set", &format!("large:{n}"), &"z".repeat(2000)]);
        machine.settle_log();
    }
    machine.full = true;
    machine.settle_log();
    let mut refused = String::new();
    for n in 0..200 {
        machine.now_ms += 200;
        machine.step(Input::Timer);
        refused = machine.command(&["set", &format!("more:{n}"), "v"]);
        for pick in 0..6 {
            machine.one_completion(pick);
        }
        if refused.contains("MISCONF") {
            break;
        }
    }
    assert!(refused.contains("MISCONF No space left on device"), "{refused}");
    let held = machine.contents().len();
    machine.command(&["flushall"]);
    for pick in 0..30 {
        machine.one_completion(pick);
    }
    assert_eq!(machine.contents().len(), 0, "{held} keys were removed, and the removal is in the log");
    machine.full = false;
    for _ in 0..20 {
        machine.now_ms += 500;
        machine.step(Input::Timer);
        machine.settle();
    }
    assert!(machine.command(&["set", "again", "v"]).contains("OK"));
    machine.settle();
    assert_eq!(machine.restart().contents().len(), 1);
}

#[derive(Clone, Debug)]
enum Action {
    Set(u8, u16),
    Large(u8, u8),
    Append(u8),
    Delete(u8),
    Expire(u8, u16),
    Rename(u8, u8),
    Flush,
    Load(u8, u16),
    Unload(u8),
    Checkpoint,
    Completions(u8, u64),
    Later(u16),
    Cool,
    Restart,
}

fn library(number: u8, lines: usize) -> String {
    let comment = "-- some text\n".repeat(lines);
    format!("#!lua name=lib{number}\n{comment}redis.register_function('f{number}', function() return {lines} end)")
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..24u8;
    prop_oneof![
        8 => (key.clone(), any::<u16>()).prop_map(|(key, value)| Action::Set(key, value)),
        4 => (key.clone(), any::<u8>()).prop_map(|(key, fill)| Action::Large(key, fill)),
        3 => key.clone().prop_map(Action::Append),
        4 => key.clone().prop_map(Action::Delete),
        2 => (key.clone(), 1..3000u16).prop_map(|(key, ms)| Action::Expire(key, ms)),
        2 => (key.clone(), key).prop_map(|(from, to)| Action::Rename(from, to)),
        1 => Just(Action::Flush),
        2 => (0..4u8, any::<u16>()).prop_map(|(name, lines)| Action::Load(name, lines)),
        1 => (0..4u8).prop_map(Action::Unload),
        4 => Just(Action::Checkpoint),
        12 => (1..8u8, any::<u64>()).prop_map(|(count, picks)| Action::Completions(count, picks)),
        2 => (1..2000u16).prop_map(Action::Later),
        1 => Just(Action::Cool),
        1 => Just(Action::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens while checkpoints are made, a restart finds the state of the last entry on disk.
    #[test]
    fn any_history_survives_restarts(actions in proptest::collection::vec(action(), 1..200)) {
        let mut machine = Machine::start(Disk::default(), 1_000_000);
        for action in actions {
            let name = |key: u8| format!("key:{key}");
            match action {
                Action::Set(key, value) => { machine.command(&["set", &name(key), &value.to_string()]); }
                Action::Large(key, fill) => {
                    let value = char::from(b'a' + fill % 26).to_string().repeat(1000 + usize::from(fill) * 40);
                    machine.command(&["set", &name(key), &value]);
                }
                Action::Append(key) => { machine.command(&["append", &name(key), "tail"]); }
                Action::Delete(key) => { machine.command(&["del", &name(key)]); }
                Action::Expire(key, ms) => { machine.command(&["pexpire", &name(key), &ms.to_string()]); }
                Action::Rename(from, to) => { machine.command(&["rename", &name(from), &name(to)]); }
                Action::Flush => { machine.command(&["flushall"]); }
                Action::Load(number, lines) => {
                    let code = library(number, usize::from(lines % 300));
                    machine.command(&["function", "load", "replace", &code]);
                }
                Action::Unload(number) => { machine.command(&["function", "delete", &format!("lib{number}")]); }
                Action::Checkpoint => machine.shard.want_checkpoint(),
                Action::Completions(count, picks) => {
                    for n in 0..u64::from(count) {
                        machine.one_completion(picks.rotate_left(n as u32 * 7));
                    }
                }
                Action::Later(ms) => {
                    machine.now_ms += u64::from(ms);
                    machine.step(Input::Timer);
                }
                Action::Cool => machine.disk.warm = Some(Vec::new()),
                Action::Restart => {
                    machine.step(Input::EndOfTick);
                    machine.settle_log();
                    let contents = machine.contents();
                    machine = machine.restart();
                    prop_assert_eq!(machine.contents(), contents);
                }
            }
            machine.step(Input::EndOfTick);
        }
        machine.settle_log();
        let contents = machine.contents();
        let now_ms = machine.now_ms;
        let mut machine = machine.restart();
        prop_assert_eq!(machine.contents(), contents.clone());
        machine.now_ms = now_ms + 2000;
        machine.shard.want_checkpoint();
        machine.step(Input::EndOfTick);
        machine.settle();
        machine.now_ms = now_ms;
        let machine = machine.restart();
        prop_assert_eq!(machine.contents(), contents);
    }
}

#[test]
fn what_expired_or_was_flushed_goes_turn_by_turn_without_waiting_for_the_timer() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    for n in 0..3000 {
        machine.command(&["set", &format!("stays:{n}"), "v"]);
        machine.command(&["set", &format!("soon:{n}"), "v", "px", "500"]);
    }
    machine.settle();
    machine.now_ms += 5000;
    machine.step(Input::Timer);
    assert!(machine.shard.wants_turn(), "more has expired than one turn removes");
    machine.settle();
    assert_eq!(machine.shard.keyspace().len(0), 3000);
    machine.command(&["flushall"]);
    machine.settle_log();
    assert!(machine.shard.wants_turn(), "more was flushed than one turn frees");
    machine.settle();
    assert!(!machine.shard.keyspace().has_garbage());
}

#[test]
fn a_value_that_only_the_checkpoint_refers_to_is_checked_before_anybody_is_served() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    for n in 0..40 {
        machine.command(&["set", &format!("large:{n}"), &format!("{n:02}").repeat(700)]);
        machine.settle_log();
    }
    machine.checkpoint();
    let whole = machine.disk.clone();
    assert!(Machine::open(&whole).is_ok());
    let first = SegmentId(1);
    let mut flipped = whole.clone();
    let bytes = &mut flipped.files.get_mut(&first).expect("values live in it").1;
    let at = bytes.windows(4).position(|four| four == b"0303").expect("a value") + 500;
    bytes[at] ^= 1;
    let refused = Machine::open(&flipped).err().expect("a damaged value").to_string();
    assert!(refused.contains("refers to a value at segment 1 offset"), "{refused}");
    let mut without = whole;
    without.files.remove(&first);
    let refused = Machine::open(&without).err().expect("a missing segment").to_string();
    assert!(refused.contains("segment 1 offset") && refused.contains("the file is missing"), "{refused}");
}

#[test]
fn a_write_that_the_disk_has_no_place_for_is_taken_back_and_the_log_goes_on() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    machine.command(&["set", "k", "before"]);
    machine.settle();
    machine.step(Input::DiskFree(3 << 20));
    assert_eq!(machine.command(&["set", "k", &"x".repeat(4 << 20)]), "OK");
    let lost = machine.outputs.lost.take().expect("it has no place");
    assert_eq!(lost.fate(Gate { fence: 0, ..lost.last }).error(), Some(REFUSED));
    assert_eq!(machine.command(&["get", "k"]), "\"before\"");
    machine.command(&["set", "k", "after"]);
    machine.settle();
    machine.step(Input::DiskFree(30 << 20));
    machine.command(&["set", "long", &"x".repeat(4 << 20)]);
    machine.settle();
    assert!(machine.outputs.lost.is_none());
    let machine = machine.restart();
    let lengths: Vec<usize> = machine.contents().values().map(|(value, _)| value.len()).collect();
    assert_eq!(lengths, [5, 4 << 20]);
}

/// A copy of the first shard's libraries is a write of this shard like any other, and calls wait for it.
#[test]
fn libraries_are_called_after_a_restart_and_undone_with_their_batch() {
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    assert_eq!(machine.command(&["function", "load", &library(1, 3)]), "\"lib1\"");
    assert_eq!(machine.command(&["fcall", "f1", "0"]), ":3");
    machine.settle_log();
    machine.checkpoint();
    assert_eq!(machine.command(&["function", "load", "replace", &library(1, 4)]), "\"lib1\"");
    assert_eq!(machine.command(&["fcall", "F1", "0"]), ":4");
    machine.settle_log();
    let mut machine = machine.restart();
    assert_eq!(machine.command(&["fcall", "f1", "0"]), ":4");
    assert_eq!(machine.command(&["function", "load", &library(1, 5)]), "-ERR Library 'lib1' already exists");
    assert_eq!(machine.command(&["function", "flush"]), "OK");
    assert_eq!(machine.command(&["fcall", "f1", "0"]), "-ERR Function not found");
    // Nobody was told that it is gone before it was on disk: a crash brings it back.
    let mut machine = machine.restart();
    assert_eq!(machine.command(&["fcall", "f1", "0"]), ":4");
    assert_eq!(machine.shard.count_libraries().0, 1);
}

/// What is not the first shard calls no function before it has been told which there are, and none when it had no room for them.
#[test]
fn copies_of_libraries_are_taken_over_as_far_as_there_is_room() {
    let set = |value: usize| -> Arc<LibrarySet> {
        Arc::new(BTreeMap::from([(b"lib1"[..].into(), library(1, value).into_bytes().into())]))
    };
    let mut machine = Machine::start(Disk::default(), 1_000_000);
    machine.shard.configure().shard = ShardId(1);
    machine.shard.configure().shards = 2;
    let waits = "-TRYAGAIN The shard has not got the node's libraries of functions yet; nothing was done";
    assert!(machine.shard.wants_libraries());
    assert_eq!(machine.command(&["fcall", "f1", "0"]), waits);
    let Outcome::Done(gate) = machine.step(Input::Libraries(&set(3))) else { panic!("it serves") };
    assert!(!gate.is_open(machine.outputs.open), "it is a write");
    assert!(!machine.shard.wants_libraries());
    assert_eq!(machine.command(&["fcall", "f1", "0"]), ":3");
    machine.settle_log();
    assert!(gate.is_open(machine.outputs.open));
    let before = machine.shard.stats().group_entries;
    machine.step(Input::Libraries(&set(3)));
    machine.step(Input::EndOfTick);
    assert_eq!(machine.shard.stats().group_entries, before, "nothing differs");
    machine.full = true;
    for n in 0.. {
        machine.now_ms += 200;
        machine.step(Input::Timer);
        machine.settle_log();
        if machine.command(&["set", &format!("key:{n}"), &"z".repeat(900)]).starts_with("-MISCONF") {
            break;
        }
    }
    machine.step(Input::Libraries(&set(4)));
    assert!(machine.shard.wants_libraries());
    assert_eq!(machine.command(&["fcall", "f1", "0"]), waits);
    machine.step(Input::Libraries(&set(3)));
    assert_eq!(machine.command(&["fcall", "f1", "0"]), ":3", "those it has need no room");
}
