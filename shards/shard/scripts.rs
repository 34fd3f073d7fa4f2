//! Scripts and EXEC: the first slice in the tip, the rest as contexts.

use super::Shard;
use super::requests::{CROSS_SHARD, HANDS_OVER, NOT_SERVING};
use crate::command::{Arguments, Command, Evaluation, Failure, FunctionCall, flag};
use crate::ids::{Batch, ContextId};
use crate::keyspace::{ColdRange, DatabaseIndex, KeyHash, Mark, Segments};
use crate::limits::CONTEXTS_MAX;
use crate::port::{Aside, ExecItem, Gate, Now, Outcome, Request, WatchedKey};
use crate::reply::{Discarded, ReplySink};
use crate::script::{Callable, DIGEST_BYTES, NO_SCRIPT, RunId, Script, ScriptEnd};
use crate::transaction::{
    Context, Contexts, ExecEnd, ExecFrom, Halt, Host, ScriptState, StopReason, Waits, is_kept_out, run_exec,
};

/// How a script in EXEC went on.
pub(crate) enum ScriptRun {
    /// Its reply is written.
    Done,
    /// It is set aside.
    Aside { run: RunId, mark: Option<Mark>, halt: Option<Halt> },
    /// It has outlived its slice, and no VM is free to keep it.
    Crowded,
}

/// Where a run of a script begins.
enum Begin<'a> {
    Start(Called<'a>),
    Aside(RunId),
}

/// What a command runs, with keys and arguments.
struct Called<'a> {
    body: Body<'a>,
    keys: &'a [&'a [u8]],
    arguments: &'a [&'a [u8]],
}

enum Body<'a> {
    Script(Script<'a>),
    Function(Callable),
}

/// What a slice of a context came to.
enum Sliced {
    /// Its body is at its end; the reply is written.
    Done,
    /// Its body raised an error, or was stopped; the reply is written.
    Raised,
    /// It goes on later.
    Aside(Waits, Option<ColdRange>),
    /// It cannot go on from here and runs again, once this is there.
    Again(Waits, Option<ColdRange>),
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
    fn called<'a>(&mut self, command: &Command, list: &'a [&'a [u8]]) -> Result<Called<'a>, Failure> {
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
        if by_digest && list[1].len() != DIGEST_BYTES {
            // What can be no digest is refused before the number of keys is read, as in Redis.
            return Err(Failure::text(NO_SCRIPT));
        }
        let Evaluation { script, keys, arguments } = Evaluation::read(list)?;
        let script = if by_digest { Script::Digest(script) } else { Script::Source(script) };
        Ok(Called { body: Body::Script(script), keys, arguments })
    }

    /// The answer to what could not be called: that a function is not there depends on the libraries.
    fn not_called(&mut self, command: &Command, failure: &Failure, reply: &mut dyn ReplySink) -> Outcome {
        failure.write(reply);
        Outcome::Done(if command.name.starts_with("fcall") { self.gate(false) } else { Gate::OPEN })
    }

    /// Whether a script that is known to be long waits for others that want its keys.
    fn queues_behind(&mut self, db: DatabaseIndex, called: &Called<'_>) -> Option<Result<Aside, &'static str>> {
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

    fn key_hashes(&self, db: DatabaseIndex, keys: &[&[u8]]) -> Vec<KeyHash> {
        keys.iter().map(|key| self.keyspace.key_hash(db, key)).collect()
    }

    /// The first slice of a script: it writes the tip in place.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    fn first_slice(
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
        self.keyspace.begin_reads();
        self.script_calls.begin();
        self.config.interrupt.begin();
        let (end, halt) = self.run_script(command, Begin::Start(called), &mut state, true, reply, segments);
        self.config.interrupt.end();
        self.keyspace.end_reads();
        self.script_calls.end(end != ScriptEnd::Crowded);
        match end {
            ScriptEnd::NoScript => reply.error(NO_SCRIPT),
            ScriptEnd::Done => self.script_ended(),
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                self.keyspace.undo_to(mark);
                self.script_ended();
            }
            ScriptEnd::Abandoned => {
                self.keyspace.undo_to(mark);
                reply.error(CROSS_SHARD);
                self.script_ended();
            }
            ScriptEnd::Crowded => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                return self.put_aside(context, |shard| shard.key_hashes(db, keys), Waits::Vm, None, reply);
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
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    /// Keeps a request that has not begun for later.
    fn put_aside(
        &mut self,
        context: Option<(ContextId, Context)>,
        keys: impl FnOnce(&Self) -> Vec<KeyHash>,
        waits: Waits,
        cold: Option<ColdRange>,
        reply: &mut dyn ReplySink,
    ) -> Outcome {
        let id = match context {
            Some((id, context)) => {
                self.contexts.put_back(id, context, waits);
                id
            }
            None if self.contexts.len() >= CONTEXTS_MAX => return refused(reply, TOO_MANY),
            None => {
                let keys = keys(self);
                self.contexts.add(keys, waits)
            }
        };
        Outcome::Aside(Aside { context: id, cold, restarts: true })
    }

    fn script_ended(&mut self) {
        self.stats.script_executions += 1;
        self.stats.script_fences += 1;
    }

    /// What a state that was just pinned depends on; what was read before is in it.
    fn pinned_gate(&mut self) -> Batch {
        self.keyspace.take_gate();
        self.keyspace.newest_batch()
    }

    /// Notes which script a context runs.
    fn name_script(&self, context: &mut Context) {
        context.info.running = context.run.and_then(|run| self.scripts.running(run));
    }

    /// A script that has had all the time that scripts may take is stopped.
    fn look_at_time(&mut self, context: &mut Context, now: Now) {
        let limit_us = self.config.script_time_limit_ms * 1000;
        if limit_us != 0
            && context.stop.is_none()
            && context.info.slices > 0
            && now.monotonic_us.saturating_sub(context.info.began_us) > limit_us
        {
            context.stop = Some(StopReason::Killed(TIME_LIMIT));
        }
    }

    fn count_slice(&mut self, context: &mut Context, now: Now) {
        if context.info.slices == 0 {
            context.info.began_us = now.monotonic_us;
        }
        context.info.slices += 1;
        self.stats.script_slices += 1;
    }

    /// Runs a script, or lets it go on, until its end or the end of the slice.
    fn run_script(
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

    /// A slice of a context: its view is in place, its time stands still. What it comes to decides whether it ends.
    fn slice(
        &mut self,
        now: Now,
        id: ContextId,
        mut context: Context,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
        body: impl FnOnce(&mut Self, &mut Context, &mut dyn ReplySink) -> Sliced,
    ) -> Outcome {
        let view = context.view.take();
        context.is_fresh = view.is_none();
        let view = match view {
            Some(view) => view,
            None => {
                context.now_ms = self.keyspace.now_ms();
                context.term = self.serving;
                let view = self.keyspace.view_here();
                context.gate = self.pinned_gate();
                view
            }
        };
        assert_eq!(context.term, self.serving, "contexts begin anew with a term");
        self.count_slice(&mut context, now);
        let now_ms = self.keyspace.now_ms();
        self.keyspace.set_now(context.now_ms);
        self.keyspace.enter(view);
        self.script_calls.begin();
        self.config.interrupt.begin();
        let sliced = body(self, &mut context, reply);
        self.config.interrupt.end();
        context.info.calls += self.script_calls.end(true);
        let view = self.keyspace.leave();
        self.keyspace.set_now(now_ms);
        context.gate = context.gate.max(self.keyspace.take_gate());
        match sliced {
            Sliced::Aside(waits, cold) => {
                context.view = Some(view);
                self.contexts.put_back(id, context, waits);
                Outcome::Aside(Aside { context: id, cold, restarts: false })
            }
            Sliced::Again(waits, cold) => {
                context.view = Some(view);
                self.again(id, context, waits, cold)
            }
            Sliced::Raised => {
                self.stats.script_undone += u64::from(!view.is_clean());
                self.keyspace.unpin(view.start());
                self.ended(id, &context);
                Outcome::Done(self.context_gate(&context))
            }
            Sliced::Done => {
                context.view = Some(view);
                self.commit(id, context, segments)
            }
        }
    }

    /// The body of a context is at its end: its writes are applied if nothing that it has seen was changed.
    fn commit(&mut self, id: ContextId, mut context: Context, segments: &dyn Segments) -> Outcome {
        let view = context.view.take().expect("a body that ended has a view");
        if view.is_clean() {
            // It stands at its startTS.
            self.keyspace.unpin(view.start());
            self.ended(id, &context);
            return Outcome::Done(self.context_gate(&context));
        }
        if self.contexts.has_locks() && self.contexts.keeps_out(Some(id), view.written(), view.has_flushed()) {
            context.view = Some(view);
            return self.again(id, context, Waits::Unlocking, None);
        }
        if !self.keyspace.is_unchanged(&view, context.now_ms) {
            self.stats.script_conflicts += 1;
            context.view = Some(view);
            let waits = Contexts::after_run_in_vain(&context);
            return self.again(id, context, waits, None);
        }
        let mark = self.keyspace.mark();
        if let Err(range) = self.keyspace.commit(&view, segments) {
            context.view = Some(view);
            return self.again(id, context, Waits::Cold, Some(range));
        }
        self.keyspace.unpin(view.start());
        self.ended(id, &context);
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    /// What the reply of a context waits for that has changed nothing.
    fn context_gate(&mut self, context: &Context) -> Gate {
        let gate = self.gate(false);
        Gate { batch: gate.batch.max(context.gate), ..gate }
    }

    /// A context runs again from its start, once this is there.
    fn again(&mut self, id: ContextId, mut context: Context, waits: Waits, cold: Option<ColdRange>) -> Outcome {
        let view = context.view.take().expect("a context that ran has a view");
        context.touched.add(view.reads());
        self.keyspace.unpin(view.start());
        if let Some(run) = context.run.take() {
            self.scripts.stop(run, None, &mut Discarded);
            self.contexts.vm_freed();
        }
        context.next = 0;
        context.info.reruns += 1;
        self.stats.script_reruns += 1;
        self.contexts.put_back(id, context, waits);
        Outcome::Aside(Aside { context: id, cold, restarts: true })
    }

    fn ended(&mut self, id: ContextId, context: &Context) {
        if !context.is_exec {
            self.script_ended();
        }
        self.contexts.ended(id, &context.keys, true);
    }

    fn script_slice(
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
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
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

    fn stop_script(
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

    /// What a context has written goes.
    fn drop_view(&mut self, context: &mut Context) {
        if let Some(view) = context.view.take() {
            self.stats.script_undone += u64::from(!view.is_clean());
            self.keyspace.unpin(view.start());
        }
    }

    // EXEC.

    #[allow(clippy::too_many_arguments, reason = "an input is its parts, borrowed apart")]
    pub(super) fn exec(
        &mut self,
        now: Now,
        items: &[ExecItem],
        watches: &[WatchedKey],
        reply: &mut dyn ReplySink,
        done: &mut dyn FnMut(),
        context: Option<ContextId>,
        segments: &dyn Segments,
    ) -> Outcome {
        let Some(term) = self.serving else {
            if context.is_some() {
                // The shell may have a part of the array: an error behind it would be taken for the next element.
                self.forget_context(context);
                return Outcome::Stopped(NOT_SERVING);
            }
            reply.error(NOT_SERVING);
            return Outcome::NotServing;
        };
        let mut context = match context {
            None => None,
            Some(id) => match self.contexts.take(id) {
                None => return Outcome::Stopped(FORGOTTEN),
                Some(mut context) => {
                    if std::mem::take(&mut context.has_restarted) {
                        self.contexts.put_back(id, context, Waits::Turn);
                        return Outcome::Aside(Aside { context: id, cold: None, restarts: true });
                    }
                    if context.run.is_some() {
                        self.look_at_time(&mut context, now);
                    }
                    if let Some(outcome) = self.stop_exec(id, &mut context, watches, reply) {
                        return outcome;
                    }
                    Some((id, context))
                }
            },
        };
        let has_begun = context.as_ref().is_some_and(|(_, context)| context.view.is_some());
        let changed = !has_begun
            && watches
                .iter()
                .any(|watch| watch.term != term.0 || self.keyspace.changed_since(watch.db, &watch.key, watch.since));
        let written = |item: &ExecItem| matches!(item, ExecItem::Run { command, .. } if self.hands_over(command));
        if changed || (!has_begun && items.iter().any(written)) {
            if changed {
                reply.null_array();
            } else {
                reply.error(HANDS_OVER);
                self.keyspace.take_gate();
            }
            self.unwatch(watches);
            if let Some((id, context)) = context {
                self.contexts.ended(id, &context.keys, false);
            }
            return Outcome::Done(if changed { self.gate(false) } else { Gate::OPEN });
        }
        if context.as_ref().is_some_and(|(_, context)| context.view.is_some() || context.info.reruns > 0) {
            let (id, context) = context.take().expect("it was just looked at");
            let outcome = self.slice(now, id, context, reply, segments, |shard, context, reply| {
                shard.exec_slice(context, items, reply, done, segments)
            });
            if let Outcome::Done(_) = outcome {
                self.unwatch(watches);
            }
            return outcome;
        }
        let who = context.as_ref().map(|(id, _)| *id);
        let keys = |shard: &Self| shard.exec_keys(items);
        if self.contexts.has_locks() && items.iter().any(|item| self.keeps_out(who, item)) {
            return self.put_aside(context, keys, Waits::Unlocking, None, reply);
        }
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        self.keyspace.begin_reads();
        self.script_calls.begin();
        self.config.interrupt.begin();
        let mut state = ScriptState::default();
        let from = ExecFrom { next: 0, run: None, begins: true };
        let end = run_exec(self, items, from, &mut state, reply, done, segments);
        self.config.interrupt.end();
        self.keyspace.end_reads();
        self.script_calls.end(!matches!(end, ExecEnd::Cold(_) | ExecEnd::Crowded));
        match end {
            ExecEnd::Done => {}
            ExecEnd::Cold(range) => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                if context.is_some() {
                    return self.put_aside(context, keys, Waits::Cold, Some(range), reply);
                }
                return Outcome::Cold(range);
            }
            ExecEnd::Crowded => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                return self.put_aside(context, keys, Waits::Vm, None, reply);
            }
            ExecEnd::Aside { next, run, undo_bytes, halt } => {
                let set_aside = self.keyspace.set_aside(mark, undo_bytes, segments);
                let (waits, cold) = waits_of(halt);
                let (view, run_mark) = match set_aside {
                    Ok(view) => view,
                    Err(range) => {
                        if let Some(run) = run {
                            self.scripts.stop(run, None, &mut Discarded);
                        }
                        self.keyspace.take_gate();
                        return self.put_aside(context, keys, Waits::Cold, Some(range), reply);
                    }
                };
                let (gate, now_ms, term) = (self.pinned_gate(), self.keyspace.now_ms(), self.serving);
                let (id, mut context) = context.unwrap_or_else(|| {
                    let id = self.contexts.add(self.exec_keys(items), Waits::Cold);
                    (id, self.contexts.take(id).expect("it was just added"))
                });
                context.view = Some(view);
                (context.run, context.run_mark, context.next) = (run, run_mark, next);
                context.state = state;
                context.is_exec = true;
                context.gate = gate;
                context.now_ms = now_ms;
                context.term = term;
                self.name_script(&mut context);
                self.count_slice(&mut context, now);
                self.contexts.put_back(id, context, waits);
                return Outcome::Aside(Aside { context: id, cold, restarts: false });
            }
        }
        self.unwatch(watches);
        if let Some((id, context)) = context {
            self.contexts.ended(id, &context.keys, false);
        }
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    fn exec_keys(&self, items: &[ExecItem]) -> Vec<KeyHash> {
        let mut keys = Vec::new();
        for item in items {
            let ExecItem::Run { command, db, arguments, .. } = item else { continue };
            let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let positions = command.key_positions(&list).into_iter().flatten();
            keys.extend(positions.map(|position| self.keyspace.key_hash(*db, list[position])));
        }
        keys
    }

    fn keeps_out(&self, who: Option<ContextId>, item: &ExecItem) -> bool {
        let ExecItem::Run { command, db, arguments, .. } = item else { return false };
        let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        is_kept_out(&self.contexts, who, &self.keyspace, command, *db, &list)
    }

    fn exec_slice(
        &mut self,
        context: &mut Context,
        items: &[ExecItem],
        reply: &mut dyn ReplySink,
        done: &mut dyn FnMut(),
        segments: &dyn Segments,
    ) -> Sliced {
        let run = context.run.take().map(|run| (run, context.run_mark));
        let from = ExecFrom { next: context.next, run, begins: context.is_fresh };
        let end = run_exec(self, items, from, &mut context.state, reply, done, segments);
        match end {
            ExecEnd::Done => Sliced::Done,
            ExecEnd::Cold(range) => Sliced::Again(Waits::Cold, Some(range)),
            ExecEnd::Crowded => Sliced::Again(Waits::Vm, None),
            ExecEnd::Aside { next, run, undo_bytes, halt } => {
                (context.next, context.run) = (next, run);
                self.name_script(context);
                if let Some(mark) = undo_bytes {
                    context.run_mark = mark.in_view();
                }
                let (waits, cold) = waits_of(halt);
                Sliced::Aside(waits, cold)
            }
        }
    }

    /// A context that is to be stopped: a script in it is, and EXEC goes on; if nobody waits for it, all of it goes.
    fn stop_exec(
        &mut self,
        id: ContextId,
        context: &mut Context,
        watches: &[WatchedKey],
        reply: &mut dyn ReplySink,
    ) -> Option<Outcome> {
        let reason = context.stop.take()?;
        self.stats.script_kills += 1;
        match (reason, context.run.take()) {
            (StopReason::Killed(text), Some(run)) if context.view.is_some() => {
                self.scripts.stop(run, Some(text), reply);
                self.contexts.vm_freed();
                let view = context.view.take().expect("it was just looked at");
                self.keyspace.enter(view);
                self.keyspace.undo_to_view(context.run_mark);
                context.view = Some(self.keyspace.leave());
                context.next += 1;
                None
            }
            (reason, run) => {
                if let Some(run) = run {
                    self.scripts.stop(run, None, &mut Discarded);
                }
                self.drop_view(context);
                self.unwatch(watches);
                self.ended(id, context);
                // What was written of the array is void.
                Some(Outcome::Stopped(match reason {
                    StopReason::Killed(text) => text,
                    StopReason::Gone => GONE,
                }))
            }
        }
    }

    /// A script that EXEC runs.
    pub(crate) fn script_within(
        &mut self,
        command: &Command,
        db: DatabaseIndex,
        arguments: Arguments<'_>,
        state: &mut ScriptState,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> ScriptRun {
        let called = match self.called(command, arguments.list()) {
            Ok(called) => called,
            Err(failure) => {
                failure.write(reply);
                return ScriptRun::Done;
            }
        };
        let mark = self.keyspace.mark();
        *state = ScriptState { db, ..ScriptState::default() };
        self.run_within(command, Begin::Start(called), mark, state, reply, segments)
    }

    /// A script of EXEC that was set aside goes on.
    pub(crate) fn go_on_within(
        &mut self,
        run: RunId,
        undo_bytes: usize,
        command: &Command,
        state: &mut ScriptState,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> ScriptRun {
        self.run_within(command, Begin::Aside(run), Mark::of_view(undo_bytes), state, reply, segments)
    }

    fn run_within(
        &mut self,
        command: &Command,
        from: Begin<'_>,
        mark: Mark,
        state: &mut ScriptState,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> ScriptRun {
        let in_tip = !self.keyspace.is_in_view();
        let (end, halt) = self.run_script(command, from, state, in_tip, reply, segments);
        match end {
            ScriptEnd::Aside(run) => return ScriptRun::Aside { run, mark: Some(mark), halt },
            ScriptEnd::Crowded => return ScriptRun::Crowded,
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
                return ScriptRun::Done;
            }
            ScriptEnd::Done => {}
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                self.keyspace.undo_to(mark);
            }
            ScriptEnd::Abandoned => {
                self.keyspace.undo_to(mark);
                reply.error(CROSS_SHARD);
            }
        }
        self.script_ended();
        ScriptRun::Done
    }

    // What the shell asks of contexts.

    /// Whose turn it is next, and whether it takes a slice; the shell then gives that request again. Those that take none are for at once.
    pub fn next_turn(&mut self) -> Option<(ContextId, bool)> {
        self.contexts.next()
    }

    /// The context whose turn it is cannot be given now; it will be by itself.
    pub fn pass_turn(&mut self, id: ContextId) {
        self.contexts.begin_turn(id);
    }

    /// The context that the shell gives next has its turn.
    pub(super) fn begin_turn(&mut self, context: Option<ContextId>) {
        if let Some(id) = context {
            self.contexts.begin_turn(id);
        }
    }

    /// Takes a context down: its turn comes at once, and ends it. Whether it was there.
    pub fn stop_context(&mut self, id: ContextId, reason: StopReason) -> bool {
        self.contexts.stop(id, reason)
    }

    /// What a context has been through.
    pub fn context(&self, id: ContextId) -> Option<&crate::ContextInfo> {
        self.contexts.info(id)
    }

    /// How many requests are set aside.
    pub fn contexts_len(&self) -> usize {
        self.contexts.len()
    }

    /// A context that will not be given again.
    pub(super) fn forget_context(&mut self, context: Option<ContextId>) {
        let Some(id) = context else { return };
        let Some(mut context) = self.contexts.take(id) else { return };
        if let Some(run) = context.run.take() {
            self.scripts.stop(run, None, &mut Discarded);
        }
        self.drop_view(&mut context);
        self.contexts.ended(id, &context.keys, true);
    }

    /// What contexts have pinned is not there any more: they begin anew. `unpins` says that their pins are.
    pub(super) fn restart_contexts(&mut self, unpins: bool) {
        let mut turns = Vec::new();
        for (id, context) in self.contexts.iter_mut() {
            let Some(view) = context.view.take() else { continue };
            if unpins {
                self.keyspace.unpin(view.start());
            }
            if let Some(run) = context.run.take() {
                self.scripts.stop(run, None, &mut Discarded);
            }
            context.next = 0;
            context.info.reruns += 1;
            context.has_restarted = context.is_exec;
            turns.push(id);
        }
        for id in turns {
            self.contexts.wait(id, Waits::Turn);
            self.contexts.vm_freed();
        }
    }
}

const NO_LIBRARIES: &str = "TRYAGAIN The shard has not got the node's libraries of functions yet; nothing was done";

fn waits_of(halt: Option<Halt>) -> (Waits, Option<ColdRange>) {
    match halt {
        None | Some(Halt::Foreign) => (Waits::Turn, None),
        Some(Halt::Cold(range)) => (Waits::Cold, Some(range)),
        Some(Halt::Locked) => (Waits::Unlocking, None),
    }
}

fn refused(reply: &mut dyn ReplySink, text: &str) -> Outcome {
    reply.error(text);
    Outcome::Done(Gate::OPEN)
}

const TOO_MANY: &str = "BUSY Too many scripts and transactions wait in this shard; nothing was done";
const TIME_LIMIT: &str = "ERR Script stopped: it ran for longer than script-time-limit allows";
const GONE: &str = "ERR The script was stopped, since its client is gone";
const FORGOTTEN: &str = "TRYAGAIN The shard gave the request up; nothing was done";
