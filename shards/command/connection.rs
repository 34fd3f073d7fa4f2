//! Commands of the connection itself.

use crate::command::call::Arguments;
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::describe::command as run_command;
use crate::command::session::{Queue, Session};
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;

/// Runs a command whose row says [`Run::Connection`], but for those that need a shard (EXEC, WATCH).
pub fn run_on_connection(command: &Command, session: &mut Session, list: &[&[u8]], reply: &mut dyn ReplySink) {
    match command.name {
        "ping" => match list {
            [_] => reply.simple("PONG"),
            [_, text] => reply.bulk(text),
            _ => reply.error("ERR wrong number of arguments for 'ping' command"),
        },
        "echo" => reply.bulk(list[1]),
        "select" => match canonical_integer(list[1]) {
            Some(db @ 0..16) => {
                session.db = db as u8;
                reply.ok();
            }
            Some(_) => reply.error("ERR DB index is out of range"),
            None => reply.error("ERR value is not an integer or out of range"),
        },
        "quit" => {
            session.closing = true;
            reply.ok();
        }
        "multi" if session.transaction.is_some() => reply.error("ERR MULTI calls can not be nested"),
        "multi" => {
            session.transaction = Some(Queue::default());
            reply.ok();
        }
        name if name == "command" || name.starts_with("command|") => {
            if let Err(failure) = run_command(Arguments::new(list), reply) {
                failure.write(reply);
            }
        }
        "discard" => reply.error("ERR DISCARD without MULTI"),
        "watch" => reply.error("ERR WATCH inside MULTI is not allowed"),
        name => panic!("{name} is in the table without anything that runs it"),
    }
}

const fn row(name: &'static str, arity: i16, flags: u32) -> Command {
    Command { name, arity, flags, keys: Keys::None, run: Run::Connection, subcommands: &[] }
}

const TRANSACTION: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("ping", -1, flag::FAST),
    row("echo", 2, flag::LOADING | flag::STALE | flag::FAST),
    row("select", 2, flag::LOADING | flag::STALE | flag::FAST),
    row("quit", -1, TRANSACTION | flag::NO_AUTH),
    row("multi", 1, TRANSACTION),
    row("exec", 1, flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SKIP_SLOWLOG),
    row("discard", 1, TRANSACTION),
    Command { keys: Keys::ALL, ..row("watch", -2, TRANSACTION) },
    row("unwatch", 1, TRANSACTION),
];
