//! Scripts and functions: the first slice in the tip, the rest as contexts (see [`super::contexts`]).

use super::Shard;
use super::contexts::{FORGOTTEN, GONE, Sliced, TOO_MANY, refused, waits_of};
use super::requests::{CROSS_SHARD, HANDS_OVER};
use crate::command::{Arguments, Command, Evaluation, Failure, FunctionCall, flag};
use crate::ids::ContextId;
use crate::keyspace::{DatabaseIndex, KeyHash, Segments};
use crate::limits::CONTEXTS_MAX;
use crate::port::{Aside, Gate, Now, Outcome, Request};
use crate::reply::ReplySink;
use crate::sabotage::{Sabotage, is_planted};
use crate::script::{Callable, DIGEST_BYTES, NO_SCRIPT, RunId, Script, ScriptEnd, TOO_LONG};
use crate::shortage::OUT_OF_MEMORY;
use crate::transaction::{Context, Halt, Host, ScriptState, StopReason, Waits};

/// Where a run of a script begins.
pub(super) enum Begin<'a> {
    Start(Called<'a>),
    Aside(RunId),
}

/// What a command runs, with keys and arguments.
pub(super) struct Called<'a> {
    pub(super) body: Body<'a>,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) arguments: &'a [&'a [u8]],
}

/// What runs.
pub(super) enum Body<'a> {
    Script(Script<'a>),
    Function(Callable),
}

impl Shard {
    /// EVAL, FCALL and their kin.
    pub(super) fn script_request(&mut self, now: Now, request: Request<'_>, segments: &dyn Segments) -> Outcome {
        let Request { command, db, arguments, reply, context } = request;
        if let Some(id) = context {
            let Some(mut context) = self.contexts.take(id) else { return refused(reply, FORGOTTEN) };
            self.look_at_time(&mut context, now);
            if let Some(reason) = context.stop {
                return self.stop_script(id, context, reason, reply);
            }
            if context.view.is_none() && context.info.reruns == 0 {
                return match self.called(command, arguments.list()) {
                    Ok(called) => self.first_slice(now, command, db, called, reply, Some((id, context)), segments),
                    Err(failure) => {
                        self.ended(id, &context);
                        self.not_called(command, &failure, reply)
                    }
                };
            }
            return self.slice(now, id, context, reply, segments, |shard, context, reply| {
                shard.script_slice(context, command, db, arguments, reply, segments)
            });
        }
        if self.hands_over(command) {
            reply.error(HANDS_OVER);
            return Outcome::Done(Gate::OPEN);
        }
        let called = match self.called(command, arguments.list()) {
            Ok(called) => called,
            Err(failure) => return self.not_called(command, &failure, reply),
        };
        if !self.contexts.is_empty()
            && let Some(aside) = self.queues_behind(db, &called)
        {
            return aside.map_or_else(|text| refused(reply, text), Outcome::Aside);
        }
        self.first_slice(now, command, db, called, reply, None, segments)
    }

    /// What EVAL, FCALL and their kin run.
    ///
    /// # Errors
    /// There is no such function, or the arguments do not fit.
    pub(super) fn called<'a>(&mut self, command: &Command, list: &'a [&'a [u8]]) -> Result<Called<'a>, Failure> {
        if command.name.starts_with("fcall") {
            if self.wants_libraries() {
                return Err(Failure::text(NO_LIBRARIES));
            }
            self.follow_libraries();
            let function = self.scripts.function(list[1]).map_err(|error| Failure::Text(error.0.into()))?;
            let FunctionCall { keys, arguments } = FunctionCall::read(list)?;
            return Ok(Called { body: Body::Function(function), keys, arguments });
        }
        let by_digest = command.name.starts_with("evalsha");
        // What cannot be a digest is looked at before the number of keys, as in Redis.
        if by_digest && list[1].len() != DIGEST_BYTES {
            return Err(Failure::text(NO_SCRIPT));
        }
        let Evaluation { script, keys, arguments } = Evaluation::read(list)?;
        let script = if by_digest { Script::Digest(script) } else { Script::Source(script) };
        Ok(Called { body: Body::Script(script), keys, arguments })
    }

    /// The answer to what could not be called: that a function is not there depends on the libraries.
    pub(super) fn not_called(&mut self, command: &Command, failure: &Failure, reply: &mut dyn ReplySink) -> Outcome {
        failure.write(reply);
        Outcome::Done(if command.name.starts_with("fcall") { self.gate(false) } else { Gate::OPEN })
    }

    /// Whether a script that is known to be long waits for others that want its keys.
    pub(super) fn queues_behind(
        &mut self,
        db: DatabaseIndex,
        called: &Called<'_>,
    ) -> Option<Result<Aside, &'static str>> {
        let is_long = match &called.body {
            Body::Script(script) => self.scripts.is_long(*script),
            Body::Function(function) => function.is_long(),
        };
        if !is_long {
            return None;
        }
        let keys = self.key_hashes(db, called.keys);
        if !self.contexts.overlaps(&keys) {
            return None;
        }
        if self.contexts.len() >= CONTEXTS_MAX {
            return Some(Err(TOO_MANY));
        }
        let context = self.contexts.add(keys, Waits::Keys);
        Some(Ok(Aside { context, cold: None, restarts: false }))
    }

    pub(super) fn key_hashes(&self, db: DatabaseIndex, keys: &[&[u8]]) -> Vec<KeyHash> {
        keys.iter().map(|key| self.keyspace.key_hash(db, key)).collect()
    }

    /// The first slice of a script: it writes the tip in place.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    pub(super) fn first_slice(
        &mut self,
        now: Now,
        command: &'static Command,
        db: DatabaseIndex,
        called: Called<'_>,
        reply: &mut dyn ReplySink,
        context: Option<(ContextId, Context)>,
        segments: &dyn Segments,
    ) -> Outcome {
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        let mut state = ScriptState { db, ..ScriptState::default() };
        let keys = called.keys;
        // While the VM is prepared, the processor brings what the script will read; see `ScriptHost::expect`.
        self.keyspace.prefetch_places(db, keys);
        self.keyspace.begin_reads();
        self.script_calls.begin();
        self.config.interrupt.begin();
        let (end, halt) = self.run_script(command, Begin::Start(called), &mut state, true, reply, segments);
        self.config.interrupt.end();
        self.keyspace.end_reads();
        let calls = self.script_calls.end(end != ScriptEnd::Crowded && halt != Some(Halt::Locked));
        let mut refusal = None;
        match end {
            ScriptEnd::NoScript => reply.error(NO_SCRIPT),
            ScriptEnd::Refused(text) => refusal = Some(text),
            ScriptEnd::Done => self.script_ended(),
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                if is_planted(Sabotage::RaisedNotUndone) {
                    return Outcome::Done(self.gate(true));
                }
                self.keyspace.undo_to(mark);
                self.script_ended();
            }
            ScriptEnd::Abandoned if halt != Some(Halt::Locked) => {
                self.keyspace.undo_to(mark);
                reply.error(CROSS_SHARD);
                self.script_ended();
            }
            ScriptEnd::TooLong => {
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                self.script_ended();
                if let Some((id, context)) = context {
                    self.contexts.ended(id, &context.keys, false);
                }
                return Outcome::Stopped(TOO_LONG);
            }
            ScriptEnd::Abandoned | ScriptEnd::Crowded => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                let waits = if end == ScriptEnd::Crowded { Waits::Vm } else { Waits::Unlocking };
                return self.put_aside(context, |shard| shard.key_hashes(db, keys), waits, None, reply);
            }
            ScriptEnd::Aside(run) => {
                if context.is_none() && self.contexts.len() >= CONTEXTS_MAX {
                    self.scripts.stop(run, None, reply);
                    self.keyspace.undo_to(mark);
                    return refused(reply, TOO_MANY);
                }
                let view = match self.keyspace.set_aside(mark, None, segments) {
                    Ok((view, _)) => view,
                    Err(range) => {
                        self.scripts.stop(run, None, reply);
                        self.keyspace.take_gate();
                        return self.put_aside(
                            context,
                            |shard| shard.key_hashes(db, keys),
                            Waits::Cold,
                            Some(range),
                            reply,
                        );
                    }
                };
                let (waits, cold) = waits_of(halt);
                let (gate, now_ms, term) = (self.pinned_gate(), self.keyspace.now_ms(), self.serving);
                let mut context = context;
                if context.is_none() {
                    let id = self.contexts.add(self.key_hashes(db, keys), Waits::Cold);
                    context = Some((id, self.contexts.take(id).expect("it was just added")));
                }
                let (id, mut context) = context.expect("there is one now");
                context.view = Some(view);
                context.run = Some(run);
                context.info.calls += calls;
                context.state = state;
                self.name_script(&mut context);
                context.gate = gate;
                context.now_ms = now_ms;
                context.term = term;
                self.count_slice(&mut context, now);
                self.contexts.put_back(id, context, waits);
                return Outcome::Aside(Aside { context: id, cold, restarts: false });
            }
        }
        if let Some((id, context)) = context {
            self.contexts.ended(id, &context.keys, false);
        }
        match refusal {
            Some(OUT_OF_MEMORY) => return Outcome::Refused(OUT_OF_MEMORY),
            Some(text) => reply.error(text),
            None => {}
        }
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    pub(super) fn script_ended(&mut self) {
        self.stats.script_executions += 1;
        self.stats.script_fences += 1;
    }

    /// Runs a script, or lets it go on, until its end or the end of the slice.
    pub(super) fn run_script(
        &mut self,
        command: &Command,
        from: Begin<'_>,
        state: &mut ScriptState,
        in_tip: bool,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> (ScriptEnd, Option<Halt>) {
        if let Begin::Start(Called { body: Body::Function(_), .. }) = &from {
            // Who calls a function has looked at the libraries.
            self.keyspace.libraries();
        }
        let shortage = self.shortage();
        let mut host = Host {
            keyspace: &mut self.keyspace,
            shortage,
            config: &self.config,
            entropy: &mut self.entropy,
            segments,
            state: *state,
            locks: (in_tip && self.contexts.has_locks()).then_some(&self.contexts),
            at_shard_port: command.is(flag::AT_SHARD_PORT),
            halt: None,
            log: &mut self.script_log,
            calls: &mut self.script_calls,
        };
        let end = match from {
            Begin::Aside(run) => self.scripts.go_on(run, &mut host, reply),
            Begin::Start(Called { body, keys, arguments }) => {
                let read_only = command.is(flag::READONLY);
                match body {
                    Body::Script(script) => self.scripts.run(script, keys, arguments, read_only, &mut host, reply),
                    Body::Function(function) => {
                        self.scripts.call(&function, keys, arguments, read_only, &mut host, reply)
                    }
                }
            }
        };
        *state = host.state;
        (end, host.halt)
    }

    pub(super) fn script_slice(
        &mut self,
        context: &mut Context,
        command: &'static Command,
        db: DatabaseIndex,
        arguments: Arguments<'_>,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Sliced {
        let from = match context.run.take() {
            Some(run) => Begin::Aside(run),
            None => {
                context.state = ScriptState { db, ..ScriptState::default() };
                match self.called(command, arguments.list()) {
                    Ok(called) => Begin::Start(called),
                    Err(failure) => {
                        // The function was there when it ran before.
                        failure.write(reply);
                        return Sliced::Raised;
                    }
                }
            }
        };
        let (end, halt) = self.run_script(command, from, &mut context.state, false, reply, segments);
        match end {
            ScriptEnd::Done => Sliced::Done,
            ScriptEnd::Raised => Sliced::Raised,
            ScriptEnd::TooLong => Sliced::TooLong,
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
                Sliced::Raised
            }
            ScriptEnd::Refused(text) => {
                reply.error(text);
                Sliced::Raised
            }
            ScriptEnd::Abandoned => {
                reply.error(CROSS_SHARD);
                Sliced::Raised
            }
            ScriptEnd::Crowded => Sliced::Again(Waits::Vm, None),
            ScriptEnd::Aside(run) => {
                context.run = Some(run);
                let (waits, cold) = waits_of(halt);
                Sliced::Aside(waits, cold)
            }
        }
    }

    pub(super) fn stop_script(
        &mut self,
        id: ContextId,
        mut context: Context,
        reason: StopReason,
        reply: &mut dyn ReplySink,
    ) -> Outcome {
        self.stats.script_kills += 1;
        let text = match reason {
            StopReason::Killed(text) => text,
            StopReason::Gone => GONE,
        };
        match context.run.take() {
            Some(run) => {
                self.scripts.stop(run, Some(text), reply);
            }
            None => reply.error(text),
        }
        self.drop_view(&mut context);
        self.ended(id, &context);
        Outcome::Done(self.context_gate(&context))
    }
}

const NO_LIBRARIES: &str = "TRYAGAIN The shard has not got the node's libraries of functions yet; nothing was done";
