//! A shard: the one joiner of its rooms. Every input is one call of [`Shard::step`]; time and I/O are inputs too.

use crate::backlog::{Backlog, apply_effects};
use crate::command::{Entropy, ScriptCalls};
use crate::group::{EntryType, Group, GroupOutputs, Message, Refused, TICK_MS};
use crate::housekeeping::{Housekeeping, HousekeepingConfig};
use crate::ids::{Batch, LogIndex, ShardId, Term};
use crate::keyspace::{Keyspace, LargeString, Segments};
use crate::log::{LogIdentity, LogPosition, LogWrite, LogWriter, SegmentRole};
use crate::lost::Lost;
use crate::port::{Gate, Input, Now, Outputs, ShardStats};
use crate::script::{LogLevel, ScriptEngine, ScriptLimits};
use std::collections::VecDeque;
use std::rc::Rc;

mod requests;

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
    /// A checkpoint is made when the log has grown by this part of the live bytes.
    pub checkpoint_growth_percent: u32,
    /// Where random numbers start.
    pub entropy: u64,
    /// Bounds of scripts.
    pub script: ScriptLimits,
}

/// What a shard is told of its log's past.
#[derive(Clone, Copy, Debug)]
pub struct ShardStart {
    /// Whose log it is.
    pub identity: LogIdentity,
    /// The last entry that is applied to the keyspace.
    pub applied: (LogIndex, Term),
    /// Bytes that the log holds beyond the newest checkpoint.
    pub log_bytes: u64,
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
    backlog: Backlog,
    /// Entries that are being written, with where their bodies will lie.
    placing: Vec<(LogIndex, Term)>,
    housekeeping: Housekeeping,
    /// The last entry that is applied.
    applied: (LogIndex, Term),
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
    /// A shard from what recovery left: its keyspace (with the table of its segments), its member of the group, its log.
    pub fn new(config: ShardConfig, mut keyspace: Keyspace, group: Group, log: LogWriter, start: ShardStart) -> Self {
        keyspace.segments_mut().set_segment_bytes(config.segment_bytes);
        let housekeeping = HousekeepingConfig {
            identity: start.identity,
            segment_bytes: config.segment_bytes,
            growth_percent: config.checkpoint_growth_percent,
        };
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
            backlog: Backlog::default(),
            placing: Vec::new(),
            housekeeping: Housekeeping::new(housekeeping, start.log_bytes),
            applied: start.applied,
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
            Input::Exec { items, watches, reply, done } => {
                outputs.outcome = self.exec(items, watches, reply, done, segments);
            }
            Input::Watch { db, keys } => self.watch(db, keys, outputs),
            Input::Unwatch { watches } => self.unwatch(watches),
            Input::EndOfTick => self.end_of_tick(segments, outputs),
            Input::DiskFree(bytes) => self.housekeeping.disk_free(bytes),
            Input::CheckpointWritten(chunk) => self.housekeeping.chunk_written(chunk),
            Input::CheckpointWarm => self.housekeeping.brought_in(),
            Input::CheckpointPublished => {
                self.housekeeping.published(now.unix_ms, &mut self.keyspace, &mut self.stats, outputs);
            }
            Input::CheckpointFailed => self.give_up_checkpoint(outputs),
            Input::Written(write) => self.written(write, segments, outputs),
            Input::Segment { segment, bytes } => {
                self.housekeeping.segment_came();
                self.keyspace.segments_mut().add(segment, SegmentRole::Log, bytes);
                self.log.add_segment(segment, bytes);
            }
            Input::NoSpace => self.housekeeping.no_space(now.unix_ms),
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
        self.housekeeping.has_asked() && self.log.segments_waiting() == 0 && !self.log.is_writing()
    }

    /// Whether the next turn should come at once, although nothing else asks for it: a checkpoint is walking over the keys.
    pub fn wants_turn(&self) -> bool {
        self.housekeeping.wants_turn()
    }

    /// A checkpoint is to be made as soon as can be; what it must outnumber to be there: [`ShardStats::checkpoints`].
    pub fn want_checkpoint(&mut self) {
        self.housekeeping.want_checkpoint();
    }

    /// Whether a checkpoint is wanted or being made.
    pub fn is_checkpoint_due(&self) -> bool {
        self.housekeeping.is_checkpoint_due()
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
        ShardStats { keyspace_hits, keyspace_misses, changes: self.keyspace.changes(), ..self.stats }
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

    /// What scripts have logged since the last call.
    pub fn take_script_log(&mut self) -> Vec<(LogLevel, Vec<u8>)> {
        std::mem::take(&mut self.script_log)
    }

    // The tick, the log, the group.

    fn end_of_tick(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.fence_joined {
            self.fence_joined = false;
            self.group.read_index(self.fence);
            self.fence += 1;
        }
        if self.group.has_work() || self.backlog.first().is_some() {
            self.turn(segments, outputs);
        }
        self.write_if_free(segments, outputs);
        self.housekeeping.advance(&mut self.keyspace, segments, self.open.batch, outputs);
    }

    fn write_if_free(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.log.is_writing() && self.keyspace.body_bytes() < BATCH_BYTES_MAX {
            return;
        }
        self.propose(segments, outputs);
        self.begin_checkpoint_if_due(outputs);
        if self.log.is_writing() || self.group.records().is_empty() {
            return;
        }
        let now_ms = self.keyspace.now_ms();
        match self.log.plan(self.group.records()) {
            Ok(write) => {
                self.keyspace.segments_mut().written(&write);
                self.housekeeping.skipped(self.log.take_skipped());
                self.stats.log_writes += 1;
                self.stats.log_bytes += write.buffer.len() as u64;
                self.placing.clear();
                self.placing.extend(self.group.records().iter().map(|record| (record.index, record.term)));
                self.group.writing();
                outputs.write = Some(write);
                self.housekeeping.ask_for_segment(0, now_ms, &self.log, &mut self.keyspace, outputs);
            }
            Err(no_segment) => {
                let bytes = no_segment.bytes_needed;
                self.housekeeping.ask_for_segment(bytes, now_ms, &self.log, &mut self.keyspace, outputs);
            }
        }
    }

    /// Begins a checkpoint at the last entry if one is due. It follows a proposal: nothing is gathered.
    fn begin_checkpoint_if_due(&mut self, outputs: &mut Outputs) {
        if self.serving.is_none() {
            return;
        }
        let last = self.proposed.back().map_or((self.applied.0, self.applied.1, self.open.batch), |proposed| {
            (proposed.index, proposed.term, proposed.batch)
        });
        let group = &self.group;
        let meta = || group.conf_state_bytes();
        self.housekeeping.set_growth_percent(self.config.checkpoint_growth_percent);
        self.housekeeping.begin_if_due(last, meta, &self.log, &mut self.keyspace, &mut self.stats, outputs);
    }

    fn give_up_checkpoint(&mut self, outputs: &mut Outputs) {
        let now_ms = self.keyspace.now_ms();
        self.housekeeping.give_up(now_ms, &mut self.keyspace, &mut self.stats, outputs);
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
            Err(Refused::Dropped) => self.take_back(closed.batch, outputs),
            Err(Refused::NotLeader) => self.lose(outputs),
        }
        self.turn(segments, outputs);
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
            // Another leader may be the one that commits it: then this member applies it from here.
            if !self.group.is_lone() && self.keyspace.is_large(position.bytes as usize) {
                self.backlog.written(index, term, *position);
            }
            let Some(proposed) = self.proposed.iter_mut().find(|p| p.index == index && p.term == term) else {
                continue;
            };
            for (string, offset) in std::mem::take(&mut proposed.large) {
                self.keyspace.placed(&string, position.part(offset, string.len()));
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
        self.backlog.extend(turn.committed.drain(..));
        self.apply_backlog(segments, outputs);
        for (fence, _) in turn.confirmed.drain(..) {
            self.open.fence = self.open.fence.max(fence);
        }
    }

    /// Applies what is committed, as far as it can be read.
    fn apply_backlog(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        while let Some(entry) = self.backlog.first() {
            let (index, term) = (LogIndex(entry.index), Term(entry.term));
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal if self.proposed.front().is_some_and(|p| (p.index, p.term) == (index, term)) => {
                    let proposed = self.proposed.pop_front().expect("its front was just looked at");
                    self.keyspace.delivered(proposed.batch);
                    self.open.batch = proposed.batch;
                }
                EntryType::EntryNormal => match self.backlog.apply_first(&mut self.keyspace, segments) {
                    Ok(batch) => self.open.batch = batch,
                    Err(range) => {
                        outputs.cold_entry = Some(range);
                        return;
                    }
                },
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => self.group.apply_members(entry),
            }
            self.backlog.pop();
            self.applied = (index, term);
            if self.group.is_leader() && self.group.term() == term {
                self.serving = Some(term);
            }
        }
    }

    /// What recovery found of entries that are yet to be applied: where their bodies lie.
    pub(crate) fn recovered(&mut self, places: Vec<(LogIndex, Term, LogPosition)>) {
        for (index, term, position) in places {
            self.backlog.written(index, term, position);
        }
    }

    /// Leadership is lost: what was not delivered is taken back, newest first.
    fn lose(&mut self, outputs: &mut Outputs) {
        let proposed = self.proposed.back().map_or(self.open.batch, |proposed| proposed.batch);
        let last = Gate { batch: self.keyspace.batch(), fence: self.fence };
        self.serving = None;
        self.give_up_checkpoint(outputs);
        self.proposed.clear();
        self.keyspace.undo_undelivered();
        self.fence_joined = false;
        self.fence += 1;
        // It is said of all that a refused batch in the same step would be said of, and more.
        outputs.lost = Some(Lost { kept: self.open, proposed, last });
    }

    /// The group refused a batch: its tick is taken back. The term goes on, with what was proposed before.
    fn take_back(&mut self, batch: Batch, outputs: &mut Outputs) {
        self.keyspace.undo_refused(batch);
        let before = Batch(batch.0 - 1);
        outputs.lost = Some(Lost {
            kept: Gate { batch: before, fence: u64::MAX },
            proposed: before,
            last: Gate { batch, fence: u64::MAX },
        });
    }

    fn timer(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        if !self.group.is_lone() && now.monotonic_us.saturating_sub(self.raft_ticked_us) >= TICK_MS * 1000 {
            self.raft_ticked_us = now.monotonic_us;
            let entropy = self.entropy.next_u64();
            self.group.tick(entropy);
            self.turn(segments, outputs);
        }
        if self.serving.is_some() && self.expires_actively && !self.group.hands_over() {
            self.keyspace.expire_due(EXPIRY_LOOKS_PER_TIMER);
            self.keyspace.take_gate();
        }
        self.keyspace.free_garbage();
        self.stats.disk_full = self.housekeeping.is_disk_full(&self.keyspace);
        self.housekeeping.ask_for_segment(0, now.unix_ms, &self.log, &mut self.keyspace, outputs);
        self.housekeeping.dispose(&mut self.keyspace, outputs);
        self.end_of_tick(segments, outputs);
    }
}

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
    match apply_effects(keyspace, body, &mut 0, place, segments) {
        Ok(()) => keyspace.applied(),
        Err(range) => panic!("recovery reads every range of the log, {range:?} too"),
    }
}
