//! A shard: the one joiner of its rooms. Every input is one call of [`Shard::step`]; time and I/O are inputs too.

use crate::command::{Arguments, Call, Command, Entropy, Evaluation, Failure, Run, ScriptCalls, counts_lookups, flag};
use crate::group::{Entry, EntryType, Group, GroupOutputs, Message, TICK_MS};
use crate::ids::{Batch, LogIndex, SegmentId, ShardId, Term};
use crate::keyspace::{ColdRange, DatabaseIndex, Effect, Effects, Keyspace, LargeString, Segments};
use crate::log::{LogPosition, LogWrite, LogWriter};
use crate::port::{Gate, Input, Now, Outcome, Outputs, Request, ShardStats, WatchedKey};
use crate::reply::ReplySink;
use crate::script::{LogLevel, NO_SCRIPT, Script, ScriptEnd, ScriptEngine, ScriptLimits};
use crate::transaction::{Dropped, Host, run_exec};
use std::collections::VecDeque;
use std::rc::Rc;

/// Keys that one turn of the expiry cycle looks at.
const EXPIRY_LOOKS_PER_TIMER: usize = 2000;
/// Bytes of effects that a batch gathers before it is proposed although the log is busy.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What a shard is told once, when it is made; [`Shard::configure`] changes the rest.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its number.
    pub shard: ShardId,
    /// How many shards there are.
    pub shards: u16,
    /// How many databases SELECT reaches.
    pub databases: u8,
    /// The longest string, in bytes.
    pub string_bytes_max: usize,
    /// Memory for keys, in bytes; 0 is no bound.
    pub memory_bytes_max: usize,
    /// Copies of large strings that stay in memory although they are in the log, in bytes.
    pub warm_bytes_max: usize,
    /// The bytes of an ordinary segment.
    pub segment_bytes: u64,
    /// Where random numbers start.
    pub entropy: u64,
    /// Bounds of scripts.
    pub script: ScriptLimits,
}

/// A batch that was proposed and is not delivered yet.
struct Proposed {
    batch: Batch,
    term: Term,
    index: LogIndex,
    large: Vec<(Rc<LargeString>, usize)>,
}

/// One shard of the node.
pub struct Shard {
    config: ShardConfig,
    keyspace: Keyspace,
    group: Group,
    log: LogWriter,
    entropy: Entropy,
    proposed: VecDeque<Proposed>,
    /// Entries that are being written, with where their bodies will lie.
    placing: Vec<(LogIndex, Term)>,
    next_segment: SegmentId,
    segment_asked: bool,
    /// The term in which this member leads and has applied its own first entry.
    serving: Option<Term>,
    open: Gate,
    fence: u64,
    fence_joined: bool,
    raft_ticked_us: u64,
    scripts: ScriptEngine,
    script_log: Vec<(LogLevel, Vec<u8>)>,
    script_calls: ScriptCalls,
    stats: ShardStats,
    turn: GroupOutputs,
    expires_actively: bool,
}

impl Shard {
    /// A shard from what recovery left: its keyspace, its member of the group, its log.
    pub fn new(config: ShardConfig, keyspace: Keyspace, group: Group, log: LogWriter, next_segment: SegmentId) -> Self {
        let entropy = Entropy::new(config.entropy);
        let open = Gate { batch: Batch(keyspace.batch().0 - 1), fence: 0 };
        let scripts = ScriptEngine::new(config.script).expect("a Lua VM can be made");
        Shard {
            config,
            keyspace,
            group,
            log,
            entropy,
            proposed: VecDeque::new(),
            placing: Vec::new(),
            next_segment,
            segment_asked: false,
            serving: None,
            open,
            fence: 1,
            fence_joined: false,
            raft_ticked_us: 0,
            scripts,
            script_log: Vec::new(),
            script_calls: ScriptCalls::default(),
            stats: ShardStats::default(),
            turn: GroupOutputs::default(),
            expires_actively: true,
        }
    }

    /// Takes one input; what the shell must do is in `outputs`.
    #[inline]
    pub fn step(&mut self, now: Now, input: Input<'_>, segments: &dyn Segments, outputs: &mut Outputs) {
        self.keyspace.set_now(now.unix_ms);
        match input {
            Input::Request(request) => outputs.outcome = self.request(request, segments),
            Input::Exec { items, watches, reply } => {
                outputs.outcome = self.exec(items, watches, reply, segments);
            }
            Input::Watch { db, keys } => self.watch(db, keys, outputs),
            Input::Unwatch { watches } => self.unwatch(watches),
            Input::EndOfTick => self.end_of_tick(segments, outputs),
            Input::Written(write) => self.written(write, segments, outputs),
            Input::Segment { segment, bytes } => {
                self.segment_asked = false;
                self.log.add_segment(segment, bytes);
            }
            Input::Message(message) => self.message(message, segments, outputs),
            Input::Timer => self.timer(now, segments, outputs),
        }
        outputs.open = self.open;
    }

    /// Whether requests are served.
    pub fn is_serving(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether [`Input::Timer`] is needed within the next 100 ms: something may expire, or the group has several members.
    pub fn wants_timer(&self, unix_ms: u64) -> bool {
        !self.group.is_lone()
            || self.keyspace.next_expiry_s().is_some_and(|second| u64::from(second) * 1000 <= unix_ms + 100)
    }

    /// Whether the log stands still until it gets a segment.
    pub fn waits_for_segment(&self) -> bool {
        self.segment_asked && self.log.segments_waiting() == 0 && !self.log.is_writing()
    }

    /// The shard's keys, to be looked at.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The shard's member of its group, to be looked at.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Its numbers.
    pub fn stats(&self) -> ShardStats {
        let (keyspace_hits, keyspace_misses) = self.keyspace.lookups();
        ShardStats { keyspace_hits, keyspace_misses, ..self.stats }
    }

    /// What its scripts called.
    pub fn script_calls(&mut self) -> &mut ScriptCalls {
        &mut self.script_calls
    }

    /// What it was told; changes count from the next step on.
    pub fn configure(&mut self) -> &mut ShardConfig {
        &mut self.config
    }

    /// The scripts that it knows.
    pub fn scripts(&mut self) -> &mut ScriptEngine {
        &mut self.scripts
    }

    /// Whether expired keys are removed before somebody meets them (DEBUG SET-ACTIVE-EXPIRE).
    pub fn set_active_expiry(&mut self, active: bool) {
        self.expires_actively = active;
    }

    // Requests.

    #[inline]
    fn request(&mut self, request: Request<'_>, segments: &dyn Segments) -> Outcome {
        if self.serving.is_none() {
            request.reply.error(NOT_SERVING);
            return Outcome::NotServing;
        }
        let Request { command, db, arguments, reply } = request;
        if let Run::Script = command.run {
            let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
            self.script_calls.begin();
            let ran = self.script(command, db, arguments, reply, segments);
            self.script_calls.end(ran.is_ok());
            return match ran {
                Ok(()) => Outcome::Done(self.gate(self.keyspace.wrote_since(mark))),
                Err(range) => {
                    self.keyspace.set_lookups(lookups);
                    self.keyspace.take_gate();
                    Outcome::Cold(range)
                }
            };
        }
        if let Some(text) = self.refusal(command) {
            reply.error(text);
            return Outcome::Done(Gate::OPEN);
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Connection | Run::Node | Run::Container => {
                panic!("{} does not run in a shard", command.name)
            }
        };
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        let result = handler(&mut self.call(db, segments), arguments, reply);
        if !counts_lookups(command, &arguments) {
            self.keyspace.set_lookups(lookups);
        }
        match result {
            Ok(()) => {}
            Err(Failure::Cold(range)) => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                return Outcome::Cold(range);
            }
            Err(failure) => failure.write(reply),
        }
        self.keyspace.remove_met_expired();
        Outcome::Done(self.gate(self.keyspace.wrote_since(mark)))
    }

    /// Runs a script: all of it, or nothing.
    ///
    /// # Errors
    /// A range that must be brought in first; nothing is left of the run, and of what it read only the gate.
    fn script(
        &mut self,
        command: &Command,
        db: DatabaseIndex,
        arguments: Arguments<'_>,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Result<(), ColdRange> {
        let evaluation = match Evaluation::read(arguments.list()) {
            Ok(evaluation) => evaluation,
            Err(failure) => {
                failure.write(reply);
                return Ok(());
            }
        };
        let by_digest = command.name.starts_with("evalsha");
        let script = if by_digest { Script::Digest(evaluation.script) } else { Script::Source(evaluation.script) };
        let mark = self.keyspace.mark();
        let mut host = Host {
            keyspace: &mut self.keyspace,
            config: &self.config,
            entropy: &mut self.entropy,
            segments,
            db,
            read_only: false,
            allow_oom: false,
            dropped: None,
            log: &mut self.script_log,
            calls: &mut self.script_calls,
        };
        let read_only = command.is(flag::READONLY);
        let end = self.scripts.run(script, evaluation.keys, evaluation.arguments, read_only, &mut host, reply);
        let dropped = host.dropped;
        match end {
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
                return Ok(());
            }
            ScriptEnd::Done => {}
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                self.keyspace.undo_to(mark);
            }
            ScriptEnd::Abandoned => {
                self.keyspace.undo_to(mark);
                match dropped {
                    Some(Dropped::Cold(range)) => return Err(range),
                    _ => reply.error(CROSS_SHARD),
                }
            }
        }
        self.stats.script_executions += 1;
        self.stats.script_fences += 1;
        Ok(())
    }

    /// What scripts have logged since the last call.
    pub fn take_script_log(&mut self) -> Vec<(LogLevel, Vec<u8>)> {
        std::mem::take(&mut self.script_log)
    }

    /// Why a command may not run now; nothing of it happens then.
    pub(crate) fn refusal(&self, command: &Command) -> Option<&'static str> {
        if command.is(flag::DENYOOM)
            && self.config.memory_bytes_max != 0
            && self.keyspace.memory_bytes() > self.config.memory_bytes_max
        {
            return Some("OOM command not allowed when used memory > 'maxmemory'.");
        }
        None
    }

    fn call<'a>(&'a mut self, db: DatabaseIndex, segments: &'a dyn Segments) -> Call<'a> {
        Call {
            keyspace: &mut self.keyspace,
            db,
            segments,
            shard: self.config.shard,
            shards: self.config.shards,
            databases: self.config.databases,
            string_bytes_max: self.config.string_bytes_max,
            entropy: &mut self.entropy,
        }
    }

    /// The gate of what just ran. A write needs no fence: its commit proves that this member led.
    #[inline]
    fn gate(&mut self, wrote: bool) -> Gate {
        let batch = self.keyspace.take_gate();
        if wrote || self.group.is_lone() {
            return Gate { batch, fence: 0 };
        }
        self.fence_joined = true;
        Gate { batch, fence: self.fence }
    }

    fn exec(
        &mut self,
        items: &[crate::port::ExecItem],
        watches: &[WatchedKey],
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Outcome {
        let Some(term) = self.serving else {
            reply.error(NOT_SERVING);
            return Outcome::NotServing;
        };
        let changed = watches
            .iter()
            .any(|watch| watch.term != term.0 || self.keyspace.changed_since(watch.db, &watch.key, watch.since));
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        if changed {
            reply.null_array();
        } else {
            self.script_calls.begin();
            let ran = run_exec(self, items, reply, segments);
            self.script_calls.end(ran.is_ok());
            if let Err(range) = ran {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                return Outcome::Cold(range);
            }
        }
        self.unwatch(watches);
        Outcome::Done(self.gate(self.keyspace.wrote_since(mark)))
    }

    fn watch(&mut self, db: DatabaseIndex, keys: &[&[u8]], outputs: &mut Outputs) {
        let term = self.serving.map_or(0, |term| term.0);
        for key in keys {
            let since = self.keyspace.watch(db, key);
            outputs.watched.push(WatchedKey { db, key: key.to_vec(), since, term });
        }
        self.keyspace.take_gate();
    }

    fn unwatch(&mut self, watches: &[WatchedKey]) {
        let term = self.serving.map_or(0, |term| term.0);
        for watch in watches.iter().filter(|watch| watch.term == term) {
            self.keyspace.unwatch(watch.db, &watch.key);
        }
    }

    // The tick, the log, the group.

    fn end_of_tick(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.fence_joined {
            self.fence_joined = false;
            self.group.read_index(self.fence);
            self.fence += 1;
        }
        if self.group.has_work() {
            self.turn(segments, outputs);
        }
        self.write_if_free(segments, outputs);
    }

    fn write_if_free(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.log.is_writing() && self.keyspace.body_bytes() < BATCH_BYTES_MAX {
            return;
        }
        self.propose(segments, outputs);
        if self.log.is_writing() || self.group.records().is_empty() {
            return;
        }
        match self.log.plan(self.group.records()) {
            Ok(write) => {
                self.stats.log_writes += 1;
                self.stats.log_bytes += write.buffer.len() as u64;
                self.placing.clear();
                self.placing.extend(self.group.records().iter().map(|record| (record.index, record.term)));
                self.group.writing();
                outputs.write = Some(write);
                self.ask_for_segment(0, outputs);
            }
            Err(no_segment) => self.ask_for_segment(no_segment.bytes_needed, outputs),
        }
    }

    /// Proposes the gathered batch, as the leader of the term that its effects were computed in.
    fn propose(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let Some(term) = self.serving else { return };
        let Some(closed) = self.keyspace.close_batch() else { return };
        match self.group.propose(term, closed.body) {
            Ok(index) => {
                self.stats.group_entries += 1;
                self.stats.timestamp = closed.timestamp;
                self.proposed.push_back(Proposed { batch: closed.batch, term, index, large: closed.large });
            }
            Err(_) => self.lose(outputs),
        }
        self.turn(segments, outputs);
    }

    /// Asks for a segment if none waits, or if the next write needs a larger one.
    fn ask_for_segment(&mut self, bytes_needed: u64, outputs: &mut Outputs) {
        if self.segment_asked || (bytes_needed == 0 && self.log.segments_waiting() > 0) {
            return;
        }
        self.segment_asked = true;
        let segment = self.next_segment;
        self.next_segment = SegmentId(segment.0 + 1);
        outputs.segment_wanted = Some((segment, bytes_needed.max(self.config.segment_bytes)));
    }

    fn written(&mut self, write: LogWrite, segments: &dyn Segments, outputs: &mut Outputs) {
        self.place_large(&write.placements);
        self.log.completed(write);
        let mut turn = std::mem::take(&mut self.turn);
        self.group.persisted(&mut turn);
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
        self.keyspace.cool_to(self.config.warm_bytes_max);
    }

    /// Large strings of the entries that were just written have their place now.
    fn place_large(&mut self, placements: &[LogPosition]) {
        for (&(index, term), position) in self.placing.iter().zip(placements) {
            let Some(proposed) = self.proposed.iter_mut().find(|p| p.index == index && p.term == term) else {
                continue;
            };
            for (string, offset) in std::mem::take(&mut proposed.large) {
                let place = position.part(offset, string.len());
                self.keyspace.placed(&string, place.segment, place.offset);
            }
        }
        self.placing.clear();
    }

    fn message(&mut self, message: Message, segments: &dyn Segments, outputs: &mut Outputs) {
        self.group.step(message);
        self.turn(segments, outputs);
    }

    fn turn(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let mut turn = std::mem::take(&mut self.turn);
        self.group.turn(&mut turn);
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
    }

    /// What the group brought: messages, committed entries, confirmed fences, another role.
    fn deliver(&mut self, turn: &mut GroupOutputs, segments: &dyn Segments, outputs: &mut Outputs) {
        outputs.messages.append(&mut turn.messages);
        let leads = self.group.is_leader().then(|| self.group.term());
        if self.serving.is_some() && self.serving != leads {
            self.lose(outputs);
        }
        for entry in turn.committed.drain(..) {
            self.committed(&entry, segments);
            if leads == Some(Term(entry.term)) {
                self.serving = leads;
            }
        }
        for (fence, _) in turn.confirmed.drain(..) {
            self.open.fence = self.open.fence.max(fence);
        }
    }

    fn committed(&mut self, entry: &Entry, segments: &dyn Segments) {
        match entry.get_entry_type() {
            EntryType::EntryNormal if entry.data.is_empty() => return,
            EntryType::EntryNormal => {}
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                self.group.apply_members(entry);
                return;
            }
        }
        let own = self.proposed.front().is_some_and(|p| p.index.0 == entry.index && p.term.0 == entry.term);
        if own {
            let proposed = self.proposed.pop_front().expect("its front was just looked at");
            self.keyspace.delivered(proposed.batch);
            self.open.batch = proposed.batch;
        } else {
            self.open.batch = apply_entry(&mut self.keyspace, &entry.data, None, segments);
        }
    }

    /// Leadership is lost: what was not delivered is taken back, newest first.
    fn lose(&mut self, outputs: &mut Outputs) {
        self.serving = None;
        self.proposed.clear();
        self.keyspace.undo_undelivered();
        self.fence_joined = false;
        self.fence += 1;
        outputs.lost = true;
    }

    fn timer(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        if !self.group.is_lone() && now.monotonic_us.saturating_sub(self.raft_ticked_us) >= TICK_MS * 1000 {
            self.raft_ticked_us = now.monotonic_us;
            let entropy = self.entropy.next_u64();
            self.group.tick(entropy);
            self.turn(segments, outputs);
        }
        if self.serving.is_some() && self.expires_actively {
            self.keyspace.expire_due(EXPIRY_LOOKS_PER_TIMER);
            self.keyspace.take_gate();
        }
        self.keyspace.free_garbage();
        self.end_of_tick(segments, outputs);
    }

    pub(crate) fn run_handler(
        &mut self,
        command: &'static Command,
        db: DatabaseIndex,
        arguments: crate::command::Arguments<'_>,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Result<(), Failure> {
        if let Run::Script = command.run {
            return Ok(self.script(command, db, arguments, reply, segments)?);
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Connection | Run::Node | Run::Container => {
                panic!("{} does not run in a shard", command.name)
            }
        };
        let lookups = self.keyspace.lookups();
        let result = handler(&mut self.call(db, segments), arguments, reply);
        if !counts_lookups(command, &arguments) {
            self.keyspace.set_lookups(lookups);
        }
        self.keyspace.remove_met_expired();
        result
    }
}

const CROSS_SHARD: &str = "CROSSSLOT The script used a key or a command of another shard, which scripts cannot do yet; \
     nothing of it was applied";
const NOT_SERVING: &str = "CLUSTERDOWN The shard has no leader on this node yet; nothing was done";

/// Applies the effects of a committed entry that this member did not compute, as a batch of its own. `place` is where the
/// entry's body lies.
///
/// # Panics
/// If the body is no body: its record's checksum was right, so this is a broken invariant.
pub(crate) fn apply_entry(
    keyspace: &mut Keyspace,
    body: &[u8],
    place: Option<LogPosition>,
    segments: &dyn Segments,
) -> Batch {
    let (timestamp, mut effects) = Effects::of_body(body).expect("an entry's body begins with its timestamp");
    keyspace.advance_timestamp(timestamp);
    while let Some(effect) = effects.next() {
        let effect = effect.expect("an entry's body holds effects");
        let value_place = match (&effect, place) {
            (Effect::Put { value, .. }, Some(place)) => {
                Some((place.segment, place.offset + (effects.position() - value.len()) as u64))
            }
            _ => None,
        };
        keyspace.apply(effect, value_place, segments);
    }
    keyspace.applied()
}
