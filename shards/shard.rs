//! A shard: the one joiner of its rooms. Every input is one call of [`Shard::step`]; time and I/O are inputs too.

use crate::backlog::{Backlog, apply_effects};
use crate::command::{Entropy, ScriptCalls};
use crate::group::{Group, GroupOutputs};
use crate::housekeeping::{Housekeeping, HousekeepingConfig};
use crate::ids::{Batch, LogIndex, ShardId, Term};
use crate::keyspace::{Keyspace, LargeString, Segments};
use crate::log::{LogIdentity, LogPosition, LogWriter, SegmentRole};
use crate::port::{Gate, Input, Now, Outputs, ShardStats};
use crate::script::{Interrupt, LogLevel, ScriptEngine, ScriptLimits};
use crate::transaction::Contexts;
use std::collections::VecDeque;
use std::rc::Rc;

mod catch_up;
mod contexts;
mod exec;
mod functions;
mod requests;
mod scripts;
mod snapshots;
mod tick;

pub(crate) use exec::ScriptRun;
use snapshots::Snapshots;

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
    /// How long a script may take, in milliseconds; 0 is no bound.
    pub script_time_limit_ms: u64,
    /// The core's watch over slices.
    pub interrupt: Interrupt,
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
    snapshots: Snapshots,
    identity: LogIdentity,
    /// A range of the log is being brought in for members that lag.
    waits_for_entries: bool,
    /// The last entry that is applied.
    applied: (LogIndex, Term),
    /// The term in which this member leads and has applied its own first entry.
    serving: Option<Term>,
    /// The term in which it was told of the first shard's libraries and took them over.
    libraries_of: Option<Term>,
    open: Gate,
    fence: u64,
    fence_joined: bool,
    raft_ticked_us: u64,
    scripts: ScriptEngine,
    script_log: Vec<(LogLevel, Vec<u8>)>,
    script_calls: ScriptCalls,
    contexts: Contexts,
    stats: ShardStats,
    turn: GroupOutputs,
    expires_actively: bool,
    /// More keys were due than the last turn of the expiry cycle looked at.
    expiry_is_behind: bool,
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
        let scripts = ScriptEngine::new(config.script, config.interrupt.clone()).expect("a Lua VM can be made");
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
            snapshots: Snapshots::new(),
            identity: start.identity,
            waits_for_entries: false,
            applied: start.applied,
            serving: None,
            libraries_of: None,
            open,
            fence: 1,
            fence_joined: false,
            raft_ticked_us: 0,
            scripts,
            script_log: Vec::new(),
            script_calls: ScriptCalls::default(),
            contexts: Contexts::default(),
            stats: ShardStats::default(),
            turn: GroupOutputs::default(),
            expires_actively: true,
            expiry_is_behind: false,
        }
    }

    /// Takes one input; what the shell must do is in `outputs`.
    #[inline]
    pub fn step(&mut self, now: Now, input: Input<'_>, segments: &dyn Segments, outputs: &mut Outputs) {
        self.keyspace.set_now(now.unix_ms);
        match input {
            Input::Request(request) => {
                self.begin_turn(request.context);
                outputs.outcome = self.request(now, request, segments);
            }
            Input::Exec { items, watches, reply, done, context } => {
                self.begin_turn(context);
                outputs.outcome = self.exec(now, items, watches, reply, done, context, segments);
            }
            Input::Watch { db, keys } => self.watch(db, keys, outputs),
            Input::Libraries(set) => outputs.outcome = self.take_libraries(set),
            Input::Unwatch { watches } => self.unwatch(watches),
            Input::EndOfTick => self.end_of_tick(now, segments, outputs),
            Input::DiskFree(bytes) => self.housekeeping.disk_free(bytes),
            Input::CheckpointWritten(chunk) if self.receives(chunk.segment) => self.snapshot_written(chunk),
            Input::CheckpointWritten(chunk) => self.housekeeping.chunk_written(chunk),
            Input::CheckpointWarm => {
                self.housekeeping.brought_in();
                self.snapshot_brought_in();
                self.entries_brought_in();
            }
            Input::CheckpointPublished(segment) if self.receives(segment) => self.snapshot_published(segments, outputs),
            Input::CheckpointPublished(segment) if self.housekeeping.makes(segment) => {
                self.housekeeping.published(now.unix_ms, &mut self.keyspace, &mut self.stats);
                self.dispose(outputs);
            }
            // It was given up while it got its name.
            Input::CheckpointPublished(segment) => outputs.unneeded.push((segment, SegmentRole::Checkpoint)),
            Input::CheckpointFailed(segment) if self.receives(segment) => self.give_up_snapshot(outputs),
            Input::CheckpointFailed(segment) if self.housekeeping.makes(segment) => self.give_up_checkpoint(outputs),
            Input::CheckpointFailed(_) => {}
            Input::Written(write) => self.written(write, segments, outputs),
            Input::Segment { segment, bytes } => {
                self.housekeeping.segment_came();
                self.keyspace.segments_mut().add(segment, SegmentRole::Log, bytes);
                self.log.add_segment(segment, bytes);
            }
            Input::NoSpace => self.housekeeping.no_space(now.unix_ms),
            Input::Message(message) => self.message(now, message, segments, outputs),
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

    /// Whether the next turn should come at once, although nothing else asks for it: a checkpoint is walking over the keys, more keys
    /// have expired than one turn removes, or what was flushed is being freed.
    pub fn wants_turn(&self) -> bool {
        let for_others = self.group.has_wanted() && !self.waits_for_entries;
        self.housekeeping.wants_turn()
            || for_others
            || self.expiry_is_behind
            || self.keyspace.has_garbage()
            || self.scripts.wants_cleaning()
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
        ShardStats {
            keyspace_hits,
            keyspace_misses,
            changes: self.keyspace.changes(),
            contexts: self.contexts.len() as u64,
            script_vms: self.scripts.vms() as u64,
            script_cache_bytes: self.scripts.source_bytes() as u64,
            scripts_evicted: self.scripts.evicted(),
            ..self.stats
        }
    }

    /// What its scripts called.
    pub fn script_calls(&mut self) -> &mut ScriptCalls {
        &mut self.script_calls
    }

    /// What it was told; changes count from the next step on.
    pub fn configure(&mut self) -> &mut ShardConfig {
        &mut self.config
    }

    /// The core's watch over slices.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.config.interrupt
    }

    /// What [`Shard::configure`] changed of the bounds of scripts, and the length of their slices, are in force from now on.
    pub fn apply_script_limits(&mut self) {
        self.scripts.set_pool_bytes_max(self.config.script.pool_bytes_max);
        self.config.interrupt.restart_timer();
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
