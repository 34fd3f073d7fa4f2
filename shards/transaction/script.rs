//! What a script sees of its shard: the tip while it is in its first slice, a context's view after that.

use crate::command::{
    Arguments, Call, Command, Door, Entropy, Failure, Run, ScriptCalls, at_shard_port, counts_lookups, database, find,
    find_subcommand, flag, run_command, wait,
};
use crate::ids::ContextId;
use crate::keyspace::{ColdRange, DatabaseIndex, Keyspace, Segments};
use crate::limits::{DATABASES_MAX, SCRIPT_LOG_LINES_MAX};
use crate::reply::{Protocol, ReplySink};
use crate::script::{CallEnd, LogLevel, ScriptFlags, ScriptHost};
use crate::shard::ShardConfig;
use crate::shortage::{OUT_OF_MEMORY, Shortage, overfills};
use crate::slots::shard_of;
use crate::transaction::contexts::Contexts;

/// Why a run was set aside before its slice was over, or dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halt {
    /// A value must be brought in first.
    Cold(ColdRange),
    /// A key is locked: it was dropped, to run again when that is over.
    Locked,
    /// A key, or a command, is another shard's: it was dropped.
    Foreign,
}

/// What a run takes along from one slice to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScriptState {
    /// The database that is selected.
    pub(crate) db: DatabaseIndex,
    pub(crate) read_only: bool,
    pub(crate) allow_oom: bool,
}

/// What a script sees of its shard.
pub(crate) struct Host<'a> {
    pub(crate) keyspace: &'a mut Keyspace,
    /// What the shard was short of when the script began.
    pub(crate) shortage: Shortage,
    pub(crate) config: &'a ShardConfig,
    pub(crate) entropy: &'a mut Entropy,
    pub(crate) segments: &'a dyn Segments,
    pub(crate) state: ScriptState,
    /// Who holds locks, as long as the script writes the tip.
    pub(crate) locks: Option<&'a Contexts>,
    /// Whether the script came in at a shard's own port.
    pub(crate) at_shard_port: bool,
    pub(crate) halt: Option<Halt>,
    /// What the script logged: level and text.
    pub(crate) log: &'a mut Vec<(LogLevel, Vec<u8>)>,
    /// What it calls.
    pub(crate) calls: &'a mut ScriptCalls,
}

impl Host<'_> {
    /// Why a script may not run the command.
    fn refusal(&self, command: &Command, arguments: &[&[u8]]) -> Option<&'static str> {
        if !command.arity_fits(arguments.len()) {
            return Some("ERR Wrong number of args calling Redis command from script");
        }
        if command.is(flag::NOSCRIPT) {
            return Some(NOT_ALLOWED);
        }
        if self.state.read_only && command.is(flag::WRITE) {
            return Some("ERR Write commands are not allowed from read-only scripts.");
        }
        let refusal = self.shortage.refusal(command, self.state.allow_oom);
        refusal.or_else(|| overfills(self.keyspace.body_bytes(), command, arguments))
    }

    fn is_foreign(&self, command: &Command, arguments: &[&[u8]]) -> bool {
        if self.config.shards == 1 {
            return false;
        }
        if matches!(command.run, Run::EveryShard(..) | Run::Walk(_)) {
            return !self.at_shard_port;
        }
        let mut keys = command.key_positions(arguments).into_iter().flatten();
        keys.any(|position| shard_of(arguments[position], self.config.shards) != self.config.shard)
    }
}

/// Whether a write to these keys must wait for the end of somebody else's locks.
pub(crate) fn is_kept_out(
    contexts: &Contexts,
    who: Option<ContextId>,
    keyspace: &Keyspace,
    command: &Command,
    db: DatabaseIndex,
    arguments: &[&[u8]],
) -> bool {
    if !contexts.has_locks() || !command.is(flag::WRITE) {
        return false;
    }
    let every = matches!(command.run, Run::EveryShard(..));
    let keys = command.key_positions(arguments).into_iter().flatten();
    // MOVE and COPY write to another database: keys of all of them are held back together.
    let keys = keys.flat_map(|position| {
        let (hash, _) = keyspace.key_hash(db, arguments[position]);
        (0..DATABASES_MAX).map(move |db| (hash, db))
    });
    contexts.keeps_out(who, keys, every)
}

fn lookup(arguments: &[&[u8]]) -> Option<&'static Command> {
    let command = find(arguments[0])?;
    match arguments.get(1) {
        Some(name) if !command.subcommands.is_empty() => find_subcommand(command, name),
        _ => Some(command),
    }
}

impl ScriptHost for Host<'_> {
    fn begin(&mut self, flags: ScriptFlags, read_only: bool) -> Result<(), &'static str> {
        self.state.read_only = read_only || flags.no_writes;
        self.state.allow_oom = flags.allow_oom;
        if flags.declared && !flags.no_writes && !flags.allow_oom && self.shortage.memory {
            return Err(OUT_OF_MEMORY);
        }
        if read_only && flags.declared && !flags.no_writes {
            return Err("ERR Can not execute a script with write flag using *_ro command.");
        }
        Ok(())
    }

    fn expect(&mut self, keys: &[&[u8]]) {
        self.keyspace.prefetch_entries(self.state.db, keys);
    }

    fn call(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd {
        let Some(command) = lookup(arguments) else {
            self.calls.refused(None, UNKNOWN);
            reply.error(UNKNOWN);
            return CallEnd::Done;
        };
        if let Some(text) = self.refusal(command, arguments) {
            self.calls.refused(Some(command), text);
            reply.error(text);
            return CallEnd::Done;
        }
        let command = if self.at_shard_port { at_shard_port(command) } else { command };
        if self.is_foreign(command, arguments) {
            self.halt = Some(Halt::Foreign);
            return CallEnd::Abandon;
        }
        if let Some(contexts) = self.locks
            && is_kept_out(contexts, None, self.keyspace, command, self.state.db, arguments)
        {
            // It must not keep its VM while it waits: who holds the locks may need one.
            self.halt = Some(Halt::Locked);
            return CallEnd::Abandon;
        }
        let mark = self.keyspace.mark();
        self.calls.called(command, self.state.db, arguments);
        let lookups = self.keyspace.lookups();
        let handler = match command.run {
            Run::Shard(handler) | Run::PerKey(handler, _) | Run::EveryShard(handler, _) | Run::Walk(handler) => handler,
            Run::Connection | Run::Node | Run::Script | Run::Library | Run::Container => {
                self.on_connection(command, arguments, reply);
                return CallEnd::Done;
            }
        };
        let mut call = Call {
            keyspace: self.keyspace,
            db: self.state.db,
            segments: self.segments,
            shard: self.config.shard,
            shards: self.config.shards,
            databases: self.config.databases,
            string_bytes_max: self.config.string_bytes_max,
            entropy: self.entropy,
        };
        let result = handler(&mut call, Arguments::new(arguments), reply);
        if !counts_lookups(command, arguments) {
            self.keyspace.set_lookups(lookups);
        }
        match result {
            Ok(()) => {}
            Err(Failure::Cold(range)) => {
                self.halt = Some(Halt::Cold(range));
                self.keyspace.undo_to(mark);
                return CallEnd::Wait;
            }
            Err(failure) => {
                self.fail(&failure, reply);
            }
        }
        self.keyspace.remove_met_expired();
        CallEnd::Done
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        if self.log.len() < SCRIPT_LOG_LINES_MAX {
            self.log.push((level, message.to_vec()));
        }
    }

    fn passed_on(&mut self, error: &[u8]) {
        self.calls.passed_on(error);
    }

    fn set_protocol(&mut self, _protocol: Protocol) {}

    fn acl_check(&mut self, arguments: &[&[u8]]) -> Option<bool> {
        lookup(arguments).map(|_| true)
    }
}

impl Host<'_> {
    fn fail(&mut self, failure: &Failure, reply: &mut dyn ReplySink) {
        self.calls.failed(failure.code());
        failure.write(reply);
    }

    /// The few commands of the connection that make sense in a script.
    fn on_connection(&mut self, command: &Command, arguments: &[&[u8]], reply: &mut dyn ReplySink) {
        match (command.name, arguments) {
            ("ping", [_]) => reply.simple("PONG"),
            ("ping" | "echo", [_, text]) => reply.bulk(text),
            ("ping", _) => self.fail(&Failure::WrongArity("ping"), reply),
            ("select", [_, index]) => {
                let door = if self.at_shard_port { Door::Shard(self.config.shard) } else { Door::Server };
                match database(door, self.config.databases, index) {
                    Ok(db) => {
                        self.state.db = db;
                        reply.ok();
                    }
                    Err(failure) => self.fail(&failure, reply),
                }
            }
            (name, _) if name == "command" || name.starts_with("command|") => {
                if let Err(failure) = run_command(Arguments::new(arguments), reply) {
                    self.fail(&failure, reply);
                }
            }
            ("wait", _) => {
                if let Err(failure) = wait(arguments, reply) {
                    self.fail(&failure, reply);
                }
            }
            ("time", _) => {
                let now_ms = self.keyspace.now_ms();
                reply.array(2);
                reply.bulk((now_ms / 1000).to_string().as_bytes());
                reply.bulk((now_ms % 1000 * 1000).to_string().as_bytes());
            }
            _ => self.fail(&Failure::text(NOT_ALLOWED), reply),
        }
    }
}

const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";
