//! The whole contract between a shard and the shell around it: what goes in, what comes out.

use crate::command::{Arguments, Command};
use crate::group::Message;
use crate::ids::{Batch, ContextId, SegmentId, Timestamp};
use crate::keyspace::{ColdRange, DatabaseIndex, LibrarySet};
use crate::log::{CheckpointChunk, LogWrite, SegmentRole};
use crate::lost::Lost;
use crate::reply::{Protocol, ReplySink};
use std::sync::Arc;

/// The time of an input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Unix time in milliseconds: what expiry compares with.
    pub unix_ms: u64,
    /// A monotonic clock in microseconds: what timers and the slow log compare with.
    pub monotonic_us: u64,
}

/// A client's command whose keys live in this shard.
pub struct Request<'a> {
    /// Its row.
    pub command: &'static Command,
    /// The connection's database.
    pub db: DatabaseIndex,
    /// Its arguments.
    pub arguments: Arguments<'a>,
    /// Where the reply goes. It leaves when the gate of the outcome opens.
    pub reply: &'a mut dyn ReplySink,
    /// The context that the shard made of it, if it was given before and set aside.
    pub context: Option<ContextId>,
}

/// A command that MULTI queued, as EXEC hands it over.
pub enum ExecItem {
    /// A command of this shard.
    Run {
        /// Its row.
        command: &'static Command,
        /// The database that is selected by then.
        db: DatabaseIndex,
        /// The protocol that is spoken by then.
        protocol: Protocol,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// A command that the connection has run itself (SELECT, PING).
    Reply {
        /// Its row.
        command: &'static Command,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
        /// What it answered.
        reply: Vec<u8>,
    },
}

/// A key that the connection watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedKey {
    /// Its database.
    pub db: DatabaseIndex,
    /// The key.
    pub key: Vec<u8>,
    /// The shard's number when the watch began.
    pub since: u64,
    /// The shard's incarnation (its term) when the watch began: watches die with it.
    pub term: u64,
}

/// What happens to a shard.
pub enum Input<'a> {
    /// A command.
    Request(Request<'a>),
    /// EXEC: all commands with nothing in between, if no watched key was changed.
    Exec {
        /// The commands.
        items: &'a [ExecItem],
        /// The watched keys of this shard. EXEC ends their watches.
        watches: &'a [WatchedKey],
        /// Where the reply goes.
        reply: &'a mut dyn ReplySink,
        /// Told after each of the commands: who has a clock looks at it.
        done: &'a mut dyn FnMut(),
        /// The context that the shard made of it, if it was given before and set aside. The replies so far are the shell's to keep.
        context: Option<ContextId>,
    },
    /// WATCH: the keys' numbers come back in [`Outputs::watched`]. A shard that does not serve watches nothing: EXEC finds that
    /// out by the term.
    Watch {
        /// The database.
        db: DatabaseIndex,
        /// The keys.
        keys: &'a [&'a [u8]],
    },
    /// The first shard has committed these libraries of functions: this one's are to be the same. Their gate comes as that of a request.
    Libraries(&'a Arc<LibrarySet>),
    /// UNWATCH, DISCARD, a connection that left.
    Unwatch {
        /// The keys.
        watches: &'a [WatchedKey],
    },
    /// The shell has no more inputs for now: what was gathered is proposed and written, if the log is free. It follows every
    /// other input, once for all inputs of a turn of the reactor.
    EndOfTick,
    /// A log write is durable.
    Written(LogWrite),
    /// A segment is ready to be written to.
    Segment {
        /// Its number, as it was wanted.
        segment: SegmentId,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A segment cannot be made: the disk is full. The shard asks again.
    NoSpace,
    /// How many bytes the disk has free for this shard; the shell says so about once a second.
    DiskFree(u64),
    /// A chunk of the checkpoint is on disk.
    CheckpointWritten(CheckpointChunk),
    /// What [`CheckpointOrder::BringIn`] asked for is in memory.
    CheckpointWarm,
    /// The checkpoint in this file is on disk under its name.
    CheckpointPublished(SegmentId),
    /// The checkpoint in this file cannot be written. Nothing of it is left; another is made later.
    CheckpointFailed(SegmentId),
    /// A message of another member of the group.
    Message(Message),
    /// Time has passed; the shell calls at least every 100 ms while [`crate::Shard::wants_timer`] says so.
    Timer,
}

/// When an output may leave: once the shard has committed this batch and confirmed this fence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Gate {
    /// The batch; 0 is none.
    pub batch: Batch,
    /// The fence; 0 is none.
    pub fence: u64,
}

impl Gate {
    /// A gate that is open.
    pub const OPEN: Gate = Gate { batch: Batch(0), fence: 0 };

    /// Whether it is open where gates are open up to `open`.
    #[inline]
    pub fn is_open(self, open: Gate) -> bool {
        self.batch <= open.batch && self.fence <= open.fence
    }

    /// A gate that is open when both are.
    pub fn and(self, other: Gate) -> Gate {
        Gate { batch: self.batch.max(other.batch), fence: self.fence.max(other.fence) }
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outcome {
    /// The input was no request.
    #[default]
    None,
    /// The reply is written and leaves when the gate opens.
    Done(Gate),
    /// A range of a segment must be brought into memory first: what was written of the reply is void, and the request is to be
    /// given again when it is.
    Cold(ColdRange),
    /// It is set aside: to be given again with this context when [`crate::Shard::next_turn`] names it, or the range is there.
    Aside(Aside),
    /// It was stopped as a whole, its reply was too long, or the shard serves no more: nothing of it is applied, what was written of the reply is void, this error is
    /// the reply.
    Stopped(&'static str),
    /// There is no memory for it: it did not run, this error is the reply.
    Refused(&'static str),
    /// The shard does not serve (yet, or any more); an error is written, and nothing happened.
    NotServing,
}

/// A request that is set aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aside {
    /// What the shard knows it by.
    pub context: ContextId,
    /// The range that it waits for; the shell brings it in, and gives the request again.
    pub cold: Option<ColdRange>,
    /// What was written of the reply so far is void: it runs from its start again. (A command's reply is always void; this is of EXEC.)
    pub restarts: bool,
}

/// A segment that a shard wants for its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentWanted {
    /// Its number.
    pub segment: SegmentId,
    /// How many bytes it must have.
    pub bytes: u64,
    /// A segment of that size that nobody needs any more: it is renamed. Without one a file is made.
    pub recycle: Option<SegmentId>,
    /// Whether it is for one large write, which fills it at once: it need not be zeroed before.
    pub oversized: bool,
}

/// A step of a checkpoint. Steps of one shard are done in this order, one after the other.
#[derive(Debug)]
pub enum CheckpointOrder {
    /// Begin a file that does not count yet.
    Begin {
        /// Its number.
        segment: SegmentId,
    },
    /// Write a part of it; it comes back as [`Input::CheckpointWritten`].
    Write {
        /// The part. It says of which file.
        chunk: CheckpointChunk,
    },
    /// Bring a range of another segment into memory, then say [`Input::CheckpointWarm`].
    BringIn {
        /// The range.
        range: ColdRange,
    },
    /// Make it durable and give it its name, then say [`Input::CheckpointPublished`].
    Publish {
        /// The file.
        segment: SegmentId,
    },
    /// Remove what was written of it.
    Drop {
        /// The file.
        segment: SegmentId,
    },
}

/// What a shard asks of the shell. The shell takes everything out after each step.
#[derive(Default)]
pub struct Outputs {
    /// What became of the request that was just given.
    pub outcome: Outcome,
    /// A write for the log: direct, DSYNC, whole. It comes back as [`Input::Written`].
    pub write: Option<LogWrite>,
    /// Messages to other members.
    pub messages: Vec<Message>,
    /// A segment is wanted. It comes as [`Input::Segment`], or [`Input::NoSpace`] does.
    pub segment_wanted: Option<SegmentWanted>,
    /// Files that nobody needs any more, to be removed.
    pub unneeded: Vec<(SegmentId, SegmentRole)>,
    /// Steps of a checkpoint.
    pub checkpoint: Vec<CheckpointOrder>,
    /// Answers to WATCH, one for each key.
    pub watched: Vec<WatchedKey>,
    /// A committed entry cannot be applied before this range is in memory; what follows it waits too. The shell brings it in and
    /// ends a tick.
    pub cold_entry: Option<ColdRange>,
    /// Gates that will never open, to be looked at before [`Outputs::open`].
    pub lost: Option<Lost>,
    /// The gates that are open: batches up to this one are committed, fences up to this one confirmed.
    pub open: Gate,
}

impl Outputs {
    /// Whether the shell has something to do on the disk besides a log write.
    #[inline]
    pub fn wants_housekeeping(&self) -> bool {
        self.segment_wanted.is_some() || !self.checkpoint.is_empty() || !self.unneeded.is_empty()
    }
}

/// Numbers of one shard, for INFO.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardStats {
    /// Scripts that were run.
    pub script_executions: u64,
    /// Fences that scripts asked for.
    pub script_fences: u64,
    /// Scripts that were undone.
    pub script_undone: u64,
    /// Slices of scripts and EXECs that outlived their first.
    pub script_slices: u64,
    /// Runs of them that were repeated.
    pub script_reruns: u64,
    /// Those that were repeated because something that they had read or written was changed.
    pub script_conflicts: u64,
    /// Scripts that were stopped.
    pub script_kills: u64,
    /// Requests that are set aside.
    pub contexts: u64,
    /// Lua VMs.
    pub script_vms: u64,
    /// Bytes of the texts of the scripts that it knows.
    pub script_cache_bytes: u64,
    /// Scripts that were forgotten to make room for others.
    pub scripts_evicted: u64,
    /// Entries proposed.
    pub group_entries: u64,
    /// Log writes.
    pub log_writes: u64,
    /// Bytes of log writes.
    pub log_bytes: u64,
    /// Reads that found their key, and those that did not.
    pub keyspace_hits: u64,
    /// Reads that did not find their key.
    pub keyspace_misses: u64,
    /// The commit timestamp of the last batch.
    pub timestamp: Timestamp,
    /// Checkpoints published since the start.
    pub checkpoints: u64,
    /// Checkpoints that were given up.
    pub checkpoints_failed: u64,
    /// Whether the last one was given up.
    pub checkpoint_failed: bool,
    /// When the one being made began, in Unix milliseconds; 0 if none is.
    pub checkpoint_began_ms: u64,
    /// When the newest was published, in Unix milliseconds; 0 if there was none since the start.
    pub checkpoint_ms: u64,
    /// How long it took, in milliseconds.
    pub checkpoint_took_ms: u64,
    /// Snapshots of the group that took the place of this member's state since the start.
    pub snapshots_installed: u64,
    /// Keys changed since the start.
    pub changes: u64,
    /// `changes` as it was when the newest checkpoint began.
    pub changes_saved: u64,
    /// Whether writes are refused because the disk is full.
    pub disk_full: bool,
}
