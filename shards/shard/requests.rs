//! What clients ask of a shard: commands, scripts, EXEC, WATCH.

use crate::command::{Call, Command, Failure, Run, counts_lookups, flag};
use crate::keyspace::{DatabaseIndex, Segments};
use crate::port::{Aside, Gate, Now, Outcome, Outputs, Request, WatchedKey};
use crate::reply::ReplySink;
use crate::sabotage::{Sabotage, is_planted};
use crate::shortage::{Shortage, overfills};
use crate::transaction::is_kept_out;

use super::Shard;

impl Shard {
    #[inline]
    pub(super) fn request(&mut self, now: Now, request: Request<'_>, segments: &dyn Segments) -> Outcome {
        if self.serving.is_none() {
            request.reply.error(NOT_SERVING);
            self.forget_context(request.context);
            return Outcome::NotServing;
        }
        if let Run::Script = request.command.run {
            return self.script_request(now, request, segments);
        }
        if (request.context.is_some() || self.contexts.has_locks())
            && let Some(outcome) = self.waits_for_locks(&request)
        {
            if let Outcome::Done(_) = outcome {
                request.reply.error(STOPPED);
            }
            return outcome;
        }
        let Request { command, db, arguments, reply, .. } = request;
        let handed_over = self.hands_over(command).then_some(HANDS_OVER);
        if let Some(text) = handed_over.or_else(|| self.refusal(command, arguments.list())) {
            reply.error(text);
            return Outcome::Done(Gate::OPEN);
        }
        if let Run::Library = command.run {
            let mark = self.keyspace.mark();
            self.library(command, arguments, reply);
            return Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)));
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Library | Run::Connection | Run::Node | Run::Container => {
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
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
    }

    /// What becomes of a plain command that meets a lock, or that has waited for one; none if it runs now.
    #[cold]
    fn waits_for_locks(&mut self, request: &Request<'_>) -> Option<Outcome> {
        if let Some(id) = request.context {
            let context = self.contexts.take(id)?;
            self.contexts.ended(id, &[], false);
            if context.stop.is_some() {
                return Some(Outcome::Done(Gate::OPEN));
            }
        }
        let Request { command, db, arguments, .. } = request;
        if !is_kept_out(&self.contexts, None, &self.keyspace, command, *db, arguments.list()) {
            return None;
        }
        let context = self.contexts.add_plain();
        Some(Outcome::Aside(Aside { context, cold: None, restarts: true }))
    }

    /// Why a command may not run now; nothing of it happens then. That leadership is being handed over is for whoever begins to look at:
    /// what has begun is refused whole by the group.
    #[inline]
    pub(crate) fn refusal(&self, command: &Command, arguments: &[&[u8]]) -> Option<&'static str> {
        let refusal = self.shortage().refusal(command, false);
        refusal.or_else(|| overfills(self.keyspace.body_bytes(), command, arguments))
    }

    #[inline]
    pub(super) fn shortage(&self) -> Shortage {
        let max = self.config.memory_bytes_max;
        Shortage {
            // A shard without a key is something too: where nothing is allowed, nothing is taken.
            memory: max != 0 && size_of::<Self>() + self.keyspace.memory_bytes() > max,
            disk: self.stats.disk_full || self.housekeeping.has_no_space(),
            log: self.housekeeping.is_log_short(&self.log, &self.stats),
        }
    }

    /// Whether a command may write while leadership is handed over: the group would refuse what it proposes.
    pub(super) fn hands_over(&self, command: &Command) -> bool {
        let writes = command.is(flag::WRITE) || (matches!(command.run, Run::Script) && !command.is(flag::READONLY));
        writes && self.group.hands_over()
    }

    pub(super) fn call<'a>(&'a mut self, db: DatabaseIndex, segments: &'a dyn Segments) -> Call<'a> {
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
    pub(super) fn gate(&mut self, wrote: bool) -> Gate {
        let batch = self.keyspace.take_gate();
        if !wrote && is_planted(Sabotage::UncommittedReads) {
            self.fence_joined = true;
            return Gate { batch: Gate::OPEN.batch, fence: self.fence };
        }
        if wrote || self.group.is_lone() || is_planted(Sabotage::NoFence) {
            return Gate { batch, fence: 0 };
        }
        self.fence_joined = true;
        Gate { batch, fence: self.fence }
    }

    pub(super) fn watch(&mut self, db: DatabaseIndex, keys: &[&[u8]], outputs: &mut Outputs) {
        for key in keys {
            // Where nothing is served nothing is watched either; no term is 0, so EXEC answers nil.
            let (since, term) = self.serving.map_or((0, 0), |term| (self.keyspace.watch(db, key), term.0));
            outputs.watched.push(WatchedKey { db, key: key.to_vec(), since, term });
        }
        self.keyspace.take_gate();
    }

    pub(super) fn unwatch(&mut self, watches: &[WatchedKey]) {
        let term = self.serving.map_or(0, |term| term.0);
        for watch in watches.iter().filter(|watch| watch.term == term) {
            self.keyspace.unwatch(watch.db, &watch.key);
        }
    }

    pub(crate) fn run_handler(
        &mut self,
        command: &'static Command,
        db: DatabaseIndex,
        arguments: crate::command::Arguments<'_>,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Result<(), Failure> {
        if let Run::Library = command.run {
            self.library(command, arguments, reply);
            return Ok(());
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Library | Run::Connection | Run::Node | Run::Container => {
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

pub(super) const CROSS_SHARD: &str = "CROSSSLOT The script used a key or a command of another shard, which scripts cannot do yet; \
     nothing of it was applied";
pub(super) const HANDS_OVER: &str = "TRYAGAIN The shard's leadership is being handed over; nothing was done";
pub(super) const NOT_SERVING: &str = "CLUSTERDOWN The shard has no leader on this node yet; nothing was done";
const STOPPED: &str = "ERR The command was stopped while it waited for a transaction; nothing was done";
