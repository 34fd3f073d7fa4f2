//! One request that a shard has set aside.

use crate::ids::{Batch, Term};
use crate::keyspace::{KeyHash, Reads, View};
use crate::script::{RunId, Running};
use crate::transaction::script::ScriptState;

/// What a context waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waits {
    /// Its turn.
    Turn,
    /// To be the first that wants its keys.
    Keys,
    /// A VM.
    Vm,
    /// Its locks.
    Locks,
    /// The end of another one's locks.
    Unlocking,
    /// A range of the log, which the shell brings in.
    Cold,
}

/// Why a context is taken down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// With this error as its reply; nothing else of it runs.
    Killed(&'static str),
    /// Nobody waits for it any more.
    Gone,
}

/// What a context has been through so far.
#[derive(Clone, Debug, Default)]
pub struct ContextInfo {
    /// The script or function that it runs, if it runs one.
    pub running: Option<Running>,
    /// When it began, by the monotonic clock, in microseconds.
    pub began_us: u64,
    /// Slices it has had, over all of its runs.
    pub slices: u64,
    /// Runs in vain.
    pub reruns: u32,
    /// Commands called, over all of its runs.
    pub calls: u64,
}

/// A request that was set aside.
pub(crate) struct Context {
    /// What was done of it so far; nothing before it began and after a run in vain.
    pub(crate) view: Option<Box<View>>,
    /// The script that is set aside in its VM.
    pub(crate) run: Option<RunId>,
    /// Bytes of effects in its view when that script began: an error of a script in EXEC takes back no more.
    pub(crate) run_mark: usize,
    /// EXEC: the next command.
    pub(crate) next: usize,
    /// Its time, in Unix milliseconds.
    pub(crate) now_ms: u64,
    /// The term of its run.
    pub(crate) term: Option<Term>,
    /// What it depends on besides what it writes.
    pub(crate) gate: Batch,
    /// The keys that it declared.
    pub(crate) keys: Vec<KeyHash>,
    /// What its runs in vain touched.
    pub(crate) touched: Reads,
    pub(crate) stop: Option<StopReason>,
    pub(crate) state: ScriptState,
    pub(crate) is_exec: bool,
    /// Its run began with this slice.
    pub(crate) is_fresh: bool,
    /// EXEC: the replies that the shell has of it are void.
    pub(crate) has_restarted: bool,
    pub(crate) info: ContextInfo,
    pub(super) waits: Waits,
    /// A plain command, which takes no slice.
    pub(super) is_plain: bool,
    pub(super) is_queued: bool,
}

impl Context {
    pub(super) fn new(keys: Vec<KeyHash>, is_plain: bool) -> Self {
        Context {
            view: None,
            run: None,
            run_mark: 0,
            next: 0,
            now_ms: 0,
            term: None,
            gate: Batch(0),
            keys,
            touched: Reads::default(),
            stop: None,
            state: ScriptState::default(),
            is_exec: false,
            is_fresh: false,
            has_restarted: false,
            info: ContextInfo::default(),
            waits: Waits::Turn,
            is_plain,
            is_queued: false,
        }
    }
}
