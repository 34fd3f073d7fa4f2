//! What clients ask of a shard: commands, scripts, EXEC, WATCH.

use crate::command::{Arguments, Call, Command, Evaluation, Failure, Run, counts_lookups, flag};
use crate::keyspace::{ColdRange, DatabaseIndex, Segments};
use crate::port::{ExecItem, Gate, Outcome, Outputs, Request, WatchedKey};
use crate::reply::ReplySink;
use crate::script::{NO_SCRIPT, Script, ScriptEnd};
use crate::shortage::{Shortage, overfills};
use crate::transaction::{Dropped, Host, run_exec};

use super::Shard;

impl Shard {
    #[inline]
    pub(super) fn request(&mut self, request: Request<'_>, segments: &dyn Segments) -> Outcome {
        if self.serving.is_none() {
            request.reply.error(NOT_SERVING);
            return Outcome::NotServing;
        }
        let Request { command, db, arguments, reply } = request;
        if let Run::Script = command.run {
            if self.hands_over(command) {
                reply.error(HANDS_OVER);
                return Outcome::Done(Gate::OPEN);
            }
            let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
            self.script_calls.begin();
            let ran = self.script(command, db, arguments, reply, segments);
            self.script_calls.end(ran.is_ok());
            return match ran {
                Ok(()) => Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark))),
                Err(range) => {
                    self.keyspace.set_lookups(lookups);
                    self.keyspace.take_gate();
                    Outcome::Cold(range)
                }
            };
        }
        if let Some(text) = self.refusal(command, arguments.list()) {
            reply.error(text);
            return Outcome::Done(Gate::OPEN);
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Connection | Run::Node | Run::Container => {
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

    /// Runs a script: all of it, or nothing.
    ///
    /// # Errors
    /// A range that must be brought in first; nothing is left of the run, and of what it read only the gate.
    pub(super) fn script(
        &mut self,
        command: &Command,
        db: DatabaseIndex,
        arguments: Arguments<'_>,
        reply: &mut dyn ReplySink,
        segments: &dyn Segments,
    ) -> Result<(), ColdRange> {
        let evaluation = match Evaluation::read(arguments.list()) {
            Ok(evaluation) => evaluation,
            Err(failure) => {
                failure.write(reply);
                return Ok(());
            }
        };
        let by_digest = command.name.starts_with("evalsha");
        let script = if by_digest { Script::Digest(evaluation.script) } else { Script::Source(evaluation.script) };
        let mark = self.keyspace.mark();
        let shortage = self.shortage();
        let mut host = Host {
            keyspace: &mut self.keyspace,
            shortage,
            config: &self.config,
            entropy: &mut self.entropy,
            segments,
            db,
            at_shard_port: command.is(flag::AT_SHARD_PORT),
            read_only: false,
            allow_oom: false,
            dropped: None,
            log: &mut self.script_log,
            calls: &mut self.script_calls,
        };
        let read_only = command.is(flag::READONLY);
        let end = self.scripts.run(script, evaluation.keys, evaluation.arguments, read_only, &mut host, reply);
        let dropped = host.dropped;
        match end {
            ScriptEnd::NoScript => {
                reply.error(NO_SCRIPT);
                return Ok(());
            }
            ScriptEnd::Done => {}
            ScriptEnd::Raised => {
                self.stats.script_undone += u64::from(self.keyspace.wrote_since(mark));
                self.keyspace.undo_to(mark);
            }
            ScriptEnd::Aside(run) => {
                self.scripts.stop(run, None, reply);
                self.keyspace.undo_to(mark);
            }
            ScriptEnd::Crowded => self.keyspace.undo_to(mark),
            ScriptEnd::Abandoned => {
                self.keyspace.undo_to(mark);
                match dropped {
                    Some(Dropped::Cold(range)) => return Err(range),
                    _ => reply.error(CROSS_SHARD),
                }
            }
        }
        self.stats.script_executions += 1;
        self.stats.script_fences += 1;
        Ok(())
    }

    /// Why a command may not run now; nothing of it happens then.
    #[inline]
    pub(crate) fn refusal(&self, command: &Command, arguments: &[&[u8]]) -> Option<&'static str> {
        if self.hands_over(command) {
            return Some(HANDS_OVER);
        }
        let refusal = self.shortage().refusal(command, false);
        refusal.or_else(|| overfills(self.keyspace.body_bytes(), command, arguments))
    }

    #[inline]
    pub(super) fn shortage(&self) -> Shortage {
        let max = self.config.memory_bytes_max;
        Shortage {
            memory: max != 0 && self.keyspace.memory_bytes() > max,
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
        if wrote || self.group.is_lone() {
            return Gate { batch, fence: 0 };
        }
        self.fence_joined = true;
        Gate { batch, fence: self.fence }
    }

    pub(super) fn exec(
        &mut self,
        items: &[ExecItem],
        watches: &[WatchedKey],
        reply: &mut dyn ReplySink,
        done: &mut dyn FnMut(),
        segments: &dyn Segments,
    ) -> Outcome {
        let Some(term) = self.serving else {
            reply.error(NOT_SERVING);
            return Outcome::NotServing;
        };
        let changed = watches
            .iter()
            .any(|watch| watch.term != term.0 || self.keyspace.changed_since(watch.db, &watch.key, watch.since));
        let (mark, lookups) = (self.keyspace.mark(), self.keyspace.lookups());
        let written = |item: &ExecItem| matches!(item, ExecItem::Run { command, .. } if self.hands_over(command));
        if changed {
            reply.null_array();
        } else if items.iter().any(written) {
            reply.error(HANDS_OVER);
            self.unwatch(watches);
            self.keyspace.take_gate();
            return Outcome::Done(Gate::OPEN);
        } else {
            self.script_calls.begin();
            let ran = run_exec(self, items, reply, done, segments);
            self.script_calls.end(ran.is_ok());
            if let Err(range) = ran {
                self.keyspace.set_lookups(lookups);
                self.keyspace.undo_to(mark);
                self.keyspace.take_gate();
                return Outcome::Cold(range);
            }
        }
        self.unwatch(watches);
        Outcome::Done(self.gate(self.keyspace.changed_since_mark(mark)))
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
        if let Run::Script = command.run {
            return Ok(self.script(command, db, arguments, reply, segments)?);
        }
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Script | Run::Connection | Run::Node | Run::Container => {
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

const CROSS_SHARD: &str = "CROSSSLOT The script used a key or a command of another shard, which scripts cannot do yet; \
     nothing of it was applied";
const HANDS_OVER: &str = "TRYAGAIN The shard's leadership is being handed over; nothing was done";
const NOT_SERVING: &str = "CLUSTERDOWN The shard has no leader on this node yet; nothing was done";
