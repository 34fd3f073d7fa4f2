//! EXEC: the first slice in the tip, the rest as a context (see [`super::contexts`]); and the scripts in it.

use super::Shard;
use super::contexts::{FORGOTTEN, GONE, Sliced, waits_of};
use super::requests::{CROSS_SHARD, HANDS_OVER, NOT_SERVING};
use super::scripts::Begin;
use crate::command::{Arguments, Command};
use crate::ids::ContextId;
use crate::keyspace::{DatabaseIndex, KeyHash, Mark, Segments};
use crate::port::{Aside, ExecItem, Gate, Now, Outcome, WatchedKey};
use crate::reply::{Discarded, ReplySink};
use crate::sabotage::{Sabotage, is_planted};
use crate::script::{NO_SCRIPT, RunId, ScriptEnd, TOO_LONG};
use crate::transaction::{Context, ExecEnd, ExecFrom, Halt, ScriptState, StopReason, Waits, is_kept_out, run_exec};

/// How a script in EXEC went on.
pub(crate) enum ScriptRun {
    /// Its reply is written.
    Done,
    /// It is set aside.
    Aside { run: RunId, mark: Option<Mark>, halt: Option<Halt> },
    /// It has outlived its slice, and no VM is free to keep it.
    Crowded,
    /// It has met a locked key.
    Locked,
    /// Its result is longer than a reply may be.
    TooLong,
}

impl Shard {
    /// What the shard is too short of to run all of EXEC's commands: it runs none then. Scripts are asked when their turn comes.
    pub(super) fn lacks_for(&self, items: &[ExecItem]) -> Option<&'static str> {
        let shortage = self.shortage();
        items.iter().find_map(|item| match item {
            ExecItem::Run { command, .. } => shortage.refusal(command, false),
            ExecItem::Reply { .. } => None,
        })
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
                if context.is_fresh {
                    shard.note_watches(watches);
                }
                shard.exec_slice(context, items, reply, done, segments)
            });
            if let Outcome::Done(_) | Outcome::Stopped(_) = outcome {
                self.unwatch(watches);
            }
            return outcome;
        }
        if let Some(text) = self.lacks_for(items) {
            reply.error(&format!("EXECABORT Transaction discarded because of: {text}"));
            self.keyspace.take_gate();
            self.unwatch(watches);
            if let Some((id, context)) = context {
                self.contexts.ended(id, &context.keys, false);
            }
            return Outcome::Done(Gate::OPEN);
        }
        let who = context.as_ref().map(|(id, _)| *id);
        let keys = |shard: &Self| shard.exec_keys(items);
        if self.contexts.has_locks() && items.iter().any(|item| self.keeps_out(who, item)) {
            return self.put_aside(context, keys, Waits::Unlocking, None, reply);
        }
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        self.keyspace.begin_reads();
        self.note_watches(watches);
        self.script_calls.begin();
        self.config.interrupt.begin();
        let mut state = ScriptState::default();
        let from = ExecFrom { next: 0, run: None, begins: true };
        let end = run_exec(self, items, from, &mut state, reply, done, segments);
        self.config.interrupt.end();
        self.keyspace.end_reads();
        let calls = self.script_calls.end(!matches!(end, ExecEnd::Cold(_) | ExecEnd::Crowded | ExecEnd::Locked));
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
            ExecEnd::TooLong => {
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                self.unwatch(watches);
                if let Some((id, context)) = context {
                    self.contexts.ended(id, &context.keys, false);
                }
                return Outcome::Stopped(TOO_LONG);
            }
            ExecEnd::Crowded | ExecEnd::Locked => {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                let waits = if matches!(end, ExecEnd::Crowded) { Waits::Vm } else { Waits::Unlocking };
                return self.put_aside(context, keys, waits, None, reply);
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
                context.info.calls += calls;
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

    /// A watched key that is changed while EXEC is set aside makes it run again, which then answers nil.
    pub(super) fn note_watches(&self, watches: &[WatchedKey]) {
        for watch in watches {
            self.keyspace.note_watched(watch.db, &watch.key);
        }
    }

    pub(super) fn exec_keys(&self, items: &[ExecItem]) -> Vec<KeyHash> {
        let mut keys = Vec::new();
        for item in items {
            let ExecItem::Run { command, db, arguments, .. } = item else { continue };
            let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let positions = command.key_positions(&list).into_iter().flatten();
            keys.extend(positions.map(|position| self.keyspace.key_hash(*db, list[position])));
        }
        keys
    }

    pub(super) fn keeps_out(&self, who: Option<ContextId>, item: &ExecItem) -> bool {
        let ExecItem::Run { command, db, arguments, .. } = item else { return false };
        let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        is_kept_out(&self.contexts, who, &self.keyspace, command, *db, &list)
    }

    pub(super) fn exec_slice(
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
            ExecEnd::TooLong => Sliced::TooLong,
            ExecEnd::Locked => panic!("a context's calls meet no locks"),
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
    pub(super) fn stop_exec(
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

    pub(super) fn run_within(
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
            ScriptEnd::TooLong => return ScriptRun::TooLong,
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
                return ScriptRun::Done;
            }
            ScriptEnd::Refused(text) => reply.error(text),
            ScriptEnd::Done => {}
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                if is_planted(Sabotage::InnerNotUndone) {
                    return ScriptRun::Done;
                }
                self.keyspace.undo_to(mark);
            }
            ScriptEnd::Abandoned if halt == Some(Halt::Locked) => return ScriptRun::Locked,
            ScriptEnd::Abandoned => {
                self.keyspace.undo_to(mark);
                reply.error(CROSS_SHARD);
            }
        }
        self.script_ended();
        ScriptRun::Done
    }
}
