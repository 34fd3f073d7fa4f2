//! Contexts: slices over a pinned state, validation, commit, reruns, and whose turn it is.

use super::Shard;
use crate::ids::{Batch, ContextId};
use crate::keyspace::{ColdRange, KeyHash, Segments};
use crate::limits::CONTEXTS_MAX;
use crate::port::{Aside, Gate, Now, Outcome};
use crate::reply::{Discarded, ReplySink};
use crate::sabotage::{Sabotage, is_planted};
use crate::script::TOO_LONG;
use crate::transaction::{Context, Contexts, Halt, StopReason, Waits};

/// What a slice of a context came to.
pub(super) enum Sliced {
    /// Its body is at its end; the reply is written.
    Done,
    /// Its body raised an error, or was stopped; the reply is written.
    Raised,
    /// The reply is longer than it may be, and void.
    TooLong,
    /// It goes on later.
    Aside(Waits, Option<ColdRange>),
    /// It cannot go on from here and runs again, once this is there.
    Again(Waits, Option<ColdRange>),
}

impl Shard {
    /// Keeps a request that has not begun for later.
    pub(super) fn put_aside(
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

    /// What a state that was just pinned depends on; what was read before is in it.
    pub(super) fn pinned_gate(&mut self) -> Batch {
        self.keyspace.take_gate();
        self.keyspace.newest_batch()
    }

    /// Notes which script a context runs.
    pub(super) fn name_script(&self, context: &mut Context) {
        context.info.running = context.run.and_then(|run| self.scripts.running(run));
    }

    /// A script that has had all the time that scripts may take is stopped.
    pub(super) fn look_at_time(&mut self, context: &mut Context, now: Now) {
        let limit_us = self.config.script_time_limit_ms * 1000;
        if limit_us != 0
            && context.stop.is_none()
            && context.info.slices > 0
            && now.monotonic_us.saturating_sub(context.info.began_us) > limit_us
        {
            context.stop = Some(StopReason::Killed(TIME_LIMIT));
        }
    }

    pub(super) fn count_slice(&mut self, context: &mut Context, now: Now) {
        if context.info.slices == 0 {
            context.info.began_us = now.monotonic_us;
        }
        context.info.slices += 1;
        self.stats.script_slices += 1;
    }

    /// A slice of a context: its view is in place, its time stands still. What it comes to decides whether it ends.
    pub(super) fn slice(
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
            Sliced::TooLong => {
                self.keyspace.end_view(view);
                self.ended(id, &context);
                Outcome::Stopped(TOO_LONG)
            }
            Sliced::Raised => {
                self.stats.script_undone += u64::from(!view.is_clean());
                self.keyspace.end_view(view);
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
    pub(super) fn commit(&mut self, id: ContextId, mut context: Context, segments: &dyn Segments) -> Outcome {
        let view = context.view.take().expect("a body that ended has a view");
        if view.is_clean() {
            // It stands at its startTS.
            self.keyspace.end_view(view);
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
        self.keyspace.end_view(view);
        self.ended(id, &context);
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    /// What the reply of a context waits for that has changed nothing.
    pub(super) fn context_gate(&mut self, context: &Context) -> Gate {
        let gate = self.gate(false);
        if is_planted(Sabotage::PinnedGateOpen) {
            return gate;
        }
        Gate { batch: gate.batch.max(context.gate), ..gate }
    }

    /// A context runs again from its start, once this is there.
    pub(super) fn again(
        &mut self,
        id: ContextId,
        mut context: Context,
        waits: Waits,
        cold: Option<ColdRange>,
    ) -> Outcome {
        let view = context.view.take().expect("a context that ran has a view");
        context.touched.add(view.reads());
        self.keyspace.end_view(view);
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

    pub(super) fn ended(&mut self, id: ContextId, context: &Context) {
        if !context.is_exec {
            self.script_ended();
        }
        self.contexts.ended(id, &context.keys, true);
    }

    /// What a context has written goes.
    pub(super) fn drop_view(&mut self, context: &mut Context) {
        if let Some(view) = context.view.take() {
            self.stats.script_undone += u64::from(!view.is_clean());
            self.keyspace.end_view(view);
        }
    }

    // What the shell asks of contexts.

    /// Whose turn it is next, and whether it takes a slice; the shell then gives that request again. Those that take none are for at once.
    pub fn next_turn(&mut self) -> Option<(ContextId, bool)> {
        if self.scripts.may_keep() {
            self.contexts.vm_freed();
        }
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

    /// Whether any lock is held.
    #[cfg(test)]
    pub(crate) fn has_locks(&self) -> bool {
        self.contexts.has_locks()
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

    /// What contexts have pinned is not there any more: they begin anew.
    pub(super) fn restart_contexts(&mut self) {
        let mut turns = Vec::new();
        for (id, context) in self.contexts.iter_mut() {
            let Some(view) = context.view.take() else { continue };
            self.keyspace.end_view(view);
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

/// What a run that was halted waits for.
pub(super) fn waits_of(halt: Option<Halt>) -> (Waits, Option<ColdRange>) {
    match halt {
        None | Some(Halt::Foreign | Halt::Locked) => (Waits::Turn, None),
        Some(Halt::Cold(range)) => (Waits::Cold, Some(range)),
    }
}

/// Answers with an error; nothing was done.
pub(super) fn refused(reply: &mut dyn ReplySink, text: &str) -> Outcome {
    reply.error(text);
    Outcome::Done(Gate::OPEN)
}

pub(super) const TOO_MANY: &str = "TRYAGAIN Too many scripts and transactions wait in this shard; nothing was done";
pub(super) const GONE: &str = "ERR The script was stopped, since its client is gone";
pub(super) const FORGOTTEN: &str = "TRYAGAIN The shard gave the request up; nothing was done";
const TIME_LIMIT: &str = "ERR Script stopped: it ran for longer than script-time-limit allows";
