//! What is noted about every command that ran: its count, its time, its errors; the slow ones; what MONITOR shows.

use crate::observe::{CallEnd, LARGE_REPLY_BYTES_MIN, RowId, cut_arguments, is_quick, without_secrets};
use crate::resp::{Frame, WireReply};
use crate::serve::client::{ClientState, Waiting};
use crate::serve::engine::Engine;
use crate::serve::job::{Job, OwnedCall, Work};
use ringkeep_shards::command::{Command, find, find_subcommand, flag};
use ringkeep_shards::port::ExecItem;
use ringkeep_shards::reply::ReplySink;
use smallvec::SmallVec;

/// Which commands a request is that waits for its answer.
#[derive(Default, Debug)]
pub enum Called {
    /// None that counts: a request that was held back.
    #[default]
    Nothing,
    /// One.
    One(&'static Command),
    /// Several, each with a reply of its own.
    Run(Vec<&'static Command>),
    /// Commands of a transaction, with an array of replies; and EXEC itself, if the array is all of it.
    Items(Vec<&'static Command>, Option<&'static Command>),
}

/// What a shard's core found out while it worked for a connection of another core, or for a request that had to wait.
#[derive(Default, Debug)]
pub struct Ran {
    /// The time it took, in nanoseconds.
    pub ns: u64,
    /// How much of it each of the calls took, in their order.
    pub each_ns: Vec<u64>,
    /// Calls that were slow: their arguments, cut, and their time in nanoseconds.
    pub slow: SmallVec<[(Vec<Vec<u8>>, u64); 1]>,
    /// Lines for MONITOR: what scripts called.
    pub lines: Vec<u8>,
    /// Whether a call was refused for want of memory.
    pub refused: bool,
}

impl Ran {
    /// Adds another part's.
    pub fn add(&mut self, other: Ran) {
        self.ns += other.ns;
        self.each_ns.extend(other.each_ns);
        self.slow.extend(other.slow);
        self.lines.extend(other.lines);
        self.refused |= other.refused;
    }
}

/// A command that is about to run.
pub(super) struct Begun {
    row: RowId,
    timed: bool,
    begun_ns: u64,
    before: usize,
}

impl Engine {
    /// A command begins.
    #[inline]
    pub(super) fn begin_call(&mut self, command: &'static Command, before: usize) -> Begun {
        let times_all = self.times_all();
        let calls = &mut self.node.observed.calls;
        let row = calls.row(command);
        let timed = times_all || !calls.is_quick(row);
        if timed {
            calls.begin();
        }
        Begun { row, timed, begun_ns: calls.at_ns(), before }
    }

    /// It is done, or waits.
    #[inline]
    pub(super) fn end_call(
        &mut self,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        out_len: usize,
        begun: &Begun,
    ) {
        if state.waiting.is_none() && state.run.is_none() {
            let end = std::mem::take(&mut self.ended).of(command);
            let calls = &mut self.node.observed.calls;
            if begun.timed {
                let ns = calls.end();
                calls.timed(begun.row, end, ns);
                self.note_if_slow(state, command, list, ns);
            } else {
                calls.quick(begun.row, end);
                if out_len.saturating_sub(begun.before) >= LARGE_REPLY_BYTES_MIN {
                    let ns = calls.end();
                    self.note_if_slow(state, command, list, ns);
                }
            }
            if self.monitors.is_fed() && end != CallEnd::Rejected {
                self.feed_monitors(state, command, list);
            }
        } else if state.exec.is_none() || command.name != "exec" {
            self.waits(state, command, list, begun.begun_ns);
        }
    }

    #[cold]
    fn waits(&mut self, state: &mut ClientState, command: &'static Command, list: &[&[u8]], begun_ns: u64) {
        if self.monitors.is_fed() && command.name != "exec" {
            self.feed_monitors(state, command, list);
        }
        let keeps = matches!(command.run, ringkeep_shards::command::Run::Node);
        if let Some(waiting) = &mut state.waiting
            && matches!(waiting.called, Called::Nothing)
        {
            waiting.called = Called::One(command);
            waiting.begun_ns = begun_ns;
            if keeps {
                waiting.arguments = Some(cut_arguments(&without_secrets(list)));
            }
        }
    }

    /// Whether every command gets readings of the clock of its own.
    #[inline]
    fn times_all(&self) -> bool {
        self.node.settings.config().slowlog_slower_than.is_some_and(|least| least.as_micros() < 1000)
    }

    fn is_slow(&self, ns: u64) -> bool {
        self.node.settings.config().slowlog_slower_than.is_some_and(|least| u128::from(ns) >= least.as_nanos())
    }

    fn note_if_slow(&mut self, state: &ClientState, command: &Command, list: &[&[u8]], ns: u64) {
        if self.is_slow(ns) && !command.is(flag::SKIP_SLOWLOG) {
            self.note_slow(state, cut_arguments(&without_secrets(list)), ns);
        }
        self.note_latency(command, ns);
    }

    fn note_slow(&mut self, state: &ClientState, arguments: Vec<Vec<u8>>, ns: u64) {
        let node = &mut self.node;
        let entries_max = usize::try_from(node.settings.config().slowlog_entries_max).unwrap_or(usize::MAX);
        let log = &mut node.observed.slow_log;
        log.note(self.now.unix_ms, ns / 1000, arguments, state.peer, &state.session.name, entries_max);
    }

    fn note_latency(&mut self, command: &Command, ns: u64) {
        let event = if command.is(flag::FAST) { "fast-command" } else { "command" };
        self.note_event(event, ns);
    }

    /// Notes an event for LATENCY, if it took as long as `latency-monitor-threshold`.
    pub fn note_event(&mut self, event: &'static str, ns: u64) {
        let threshold = self.node.settings.config().latency_monitor_threshold;
        if threshold.is_some_and(|least| u128::from(ns) >= least.as_nanos()) {
            self.node.observed.latency.note(event, self.now.unix_ms, ns / 1_000_000);
        }
    }

    /// An error reply was written.
    #[cold]
    pub(super) fn note_error(&mut self, reply: &[u8]) {
        self.ended = self.node.observed.calls.error(reply);
    }

    /// A request was refused before it ran; the error is counted already.
    #[cold]
    pub(super) fn refused(&mut self, list: &[&[u8]]) {
        self.ended = CallEnd::Done;
        let Some(command) = find(list[0]) else { return };
        let command = list.get(1).and_then(|name| find_subcommand(command, name)).unwrap_or(command);
        let row = self.node.observed.calls.row(command);
        self.node.observed.calls.quick(row, CallEnd::Rejected);
    }

    /// The core begins to work on a job.
    pub(super) fn begin_job(&mut self) {
        self.node.observed.calls.begin();
    }

    /// It has, until the job is done or waits.
    pub(super) fn end_job(&mut self, place: usize, job: &mut Job) {
        job.ran.ns += self.node.observed.calls.end();
        if self.monitors.is_fed() {
            let lines = self.script_lines(place);
            job.ran.lines.extend(lines);
        }
    }

    /// A job is done: those of its calls that were slow.
    pub(super) fn note_slow_calls(&self, job: &mut Job) {
        let Ran { each_ns, slow, .. } = &mut job.ran;
        let slow_ns = |at: usize, command: &Command| {
            let ns = each_ns.get(at).copied().unwrap_or_default();
            (self.is_slow(ns) && !command.is(flag::SKIP_SLOWLOG)).then_some(ns)
        };
        match &job.work {
            Work::Calls(calls) => {
                for (at, OwnedCall { command, arguments }) in calls.iter().enumerate() {
                    let Some(ns) = slow_ns(at, command) else { continue };
                    let list: Vec<&[u8]> = arguments.iter().map(|argument| &argument[..]).collect();
                    slow.push((cut_arguments(&list), ns));
                }
            }
            Work::Exec { items, .. } => {
                for (at, item) in items.iter().enumerate() {
                    let (ExecItem::Run { command, arguments, .. } | ExecItem::Reply { command, arguments, .. }) = item;
                    let Some(ns) = slow_ns(at, command) else { continue };
                    let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                    slow.push((cut_arguments(&without_secrets(&list)), ns));
                }
            }
            Work::Watch(_) | Work::Unwatch(_) | Work::Libraries(_) | Work::Release => {}
        }
    }

    /// Whether a call of a job gets readings of the clock of its own.
    pub(super) fn reads_clock_for(&self, command: &Command) -> bool {
        self.times_all() || !is_quick(command)
    }

    /// A request that waited is answered; `reply` is what was written of it, before anything was taken back.
    pub(super) fn answered_call(&mut self, state: &ClientState, waiting: Ended, reply: &[u8]) {
        let Ended { called, begun_ns, arguments, ran } = waiting;
        let calls = &mut self.node.observed.calls;
        match called {
            Called::Nothing => {}
            Called::One(command) => {
                let end = if reply.first() == Some(&b'-') { calls.error(reply) } else { CallEnd::Done };
                let end = if ran.refused { CallEnd::Rejected } else { end };
                let is_wait = matches!(command.name, "wait" | "waitaof");
                // Who waits costs nothing; who asks the node has waited for all of it.
                let ns = if arguments.is_some() {
                    calls.begin();
                    calls.at_ns().saturating_sub(begun_ns)
                } else if is_wait {
                    0
                } else {
                    ran.ns
                };
                let row = calls.row(command);
                calls.timed(row, end, ns);
                self.note_latency(command, ns);
                if let Some(arguments) = arguments
                    && self.is_slow(ns)
                    && !command.is(flag::SKIP_SLOWLOG)
                {
                    self.note_slow(state, arguments, ns);
                }
            }
            Called::Run(commands) => self.count_replies(&commands, reply, &ran.each_ns),
            Called::Items(commands, exec) => {
                if let Some(row) = exec.map(|exec| self.node.observed.calls.row(exec)) {
                    let calls = &mut self.node.observed.calls;
                    let end = if reply.first() == Some(&b'-') { calls.error(reply) } else { CallEnd::Done };
                    calls.timed(row, end, ran.ns);
                    self.note_event("command", ran.ns);
                }
                if let Ok(frame) = Frame::read(reply)
                    && matches!(frame.kind, crate::resp::FrameKind::Array(_))
                {
                    self.count_replies(&commands, &reply[frame.body..], &ran.each_ns);
                }
            }
        }
        for (arguments, ns) in ran.slow {
            self.note_slow(state, arguments, ns);
        }
        if !ran.lines.is_empty() {
            self.feed_lines(&ran.lines);
        }
    }

    /// Counts commands whose replies follow each other, and so do their times. One without had no reply either: the client had more
    /// than it may leave unread.
    fn count_replies(&mut self, commands: &[&'static Command], mut replies: &[u8], each_ns: &[u64]) {
        let mut each_ns = each_ns.iter();
        for command in commands {
            let ns = each_ns.next().copied().unwrap_or_default();
            let calls = &mut self.node.observed.calls;
            let end = if replies.first() == Some(&b'-') { calls.error(replies) } else { CallEnd::Done };
            let row = calls.row(command);
            calls.timed(row, end, ns);
            self.note_latency(command, ns);
            replies = Frame::read(replies).map_or(&[], |frame| &replies[frame.end..]);
        }
    }

    /// A connection left while its request was worked on: it was called all the same.
    pub(super) fn abandoned_call(&mut self, waiting: &Waiting) {
        let calls = &mut self.node.observed.calls;
        let mut count = |command: &'static Command| {
            let row = calls.row(command);
            calls.timed(row, CallEnd::Done, 0);
        };
        match &waiting.called {
            Called::Nothing | Called::Items(..) => {}
            Called::One(command) => count(command),
            Called::Run(commands) => commands.iter().copied().for_each(count),
        }
    }

    /// EXEC, which ran piece by piece, is done.
    pub(super) fn exec_called(&mut self, state: &ClientState) {
        let exec = find(b"exec").expect("a row of the table");
        let row = self.node.observed.calls.row(exec);
        self.node.observed.calls.timed(row, CallEnd::Done, 0);
        if self.monitors.is_fed() {
            self.feed_monitors(state, exec, &[b"exec"]);
        }
    }
}

/// What is left of a request's wait when its reply is written.
pub(super) struct Ended {
    pub(super) called: Called,
    pub(super) begun_ns: u64,
    pub(super) arguments: Option<Vec<Vec<u8>>>,
    pub(super) ran: Ran,
}

impl Ended {
    pub(super) fn of(waiting: &mut Waiting) -> Self {
        Ended {
            called: std::mem::take(&mut waiting.called),
            begun_ns: waiting.begun_ns,
            arguments: waiting.arguments.take(),
            ran: std::mem::take(&mut waiting.ran),
        }
    }
}

/// MONITOR in a place where nothing may wait.
pub(super) fn refuse_monitor(reply: &mut WireReply<'_>) {
    reply.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
}
