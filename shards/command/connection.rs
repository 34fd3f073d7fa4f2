//! Commands of the connection itself.

use crate::command::authentication::auth;
use crate::command::call::Arguments;
use crate::command::client::client;
use crate::command::cluster::cluster;
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::describe::command as run_command;
use crate::command::failure::Failure;
use crate::command::hello::{hello, reset};
use crate::command::host::ConnectionHost;
use crate::command::modules::module;
use crate::command::row::row as full_row;
use crate::command::session::{Door, Queue, Session};
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;

/// Runs a command whose row says [`Run::Connection`], but for those that need a shard (EXEC, WATCH).
pub fn run_on_connection(
    command: &Command,
    session: &mut Session,
    host: &dyn ConnectionHost,
    list: &[&[u8]],
    reply: &mut dyn ReplySink,
) {
    if let Err(failure) = run(command, session, host, list, reply) {
        failure.write(reply);
    }
}

fn run(
    command: &Command,
    session: &mut Session,
    host: &dyn ConnectionHost,
    list: &[&[u8]],
    reply: &mut dyn ReplySink,
) -> Result<(), Failure> {
    match command.name {
        "ping" => match list {
            [_] => reply.simple("PONG"),
            [_, text] => reply.bulk(text),
            _ => return Err(Failure::WrongArity("ping")),
        },
        "echo" => reply.bulk(list[1]),
        "select" => {
            session.db = database(session.door, host.databases(), list[1])?;
            reply.ok();
        }
        "auth" => {
            auth(session, host, list)?;
            reply.ok();
        }
        "hello" => hello(session, host, list, reply)?,
        "reset" => reset(session, host, reply),
        "quit" => {
            session.closing = true;
            reply.ok();
        }
        "time" => {
            let now_us = host.unix_us();
            reply.array(2);
            reply.bulk(itoa::Buffer::new().format(now_us / 1_000_000).as_bytes());
            reply.bulk(itoa::Buffer::new().format(now_us % 1_000_000).as_bytes());
        }
        "role" => {
            reply.array(3);
            reply.bulk(b"master");
            reply.integer(0);
            reply.array(0);
        }
        "wait" => wait(list, reply)?,
        "waitaof" => {
            wait_aof(list)?;
            // A connection's replies leave in order, and those before this one wait until what they tell of is on disk.
            reply.array(2);
            reply.integer(1);
            reply.integer(0);
        }
        "multi" if session.transaction.is_some() => {
            return Err(Failure::text("ERR MULTI calls can not be nested"));
        }
        "multi" => {
            session.transaction = Some(Queue::default());
            reply.ok();
        }
        "discard" => return Err(Failure::text("ERR DISCARD without MULTI")),
        "watch" => return Err(Failure::text("ERR WATCH inside MULTI is not allowed")),
        "readonly" | "readwrite" | "asking" => cluster(command, session, host, list, reply)?,
        name => match name.split('|').next() {
            Some("command") => run_command(Arguments::new(list), reply)?,
            Some("client") => client(command, session, host, list, reply)?,
            Some("cluster") => cluster(command, session, host, list, reply)?,
            Some("module") => module(command, reply)?,
            _ => panic!("{name} is in the table without anything that runs it"),
        },
    }
    Ok(())
}

/// WAIT, where it does not wait: there is no replica that could still answer.
///
/// # Errors
/// What the client is told.
pub(crate) fn wait(list: &[&[u8]], reply: &mut dyn ReplySink) -> Result<(), Failure> {
    canonical_integer(list[1]).ok_or(Failure::NotInteger)?;
    timeout_ms(list[2])?;
    reply.integer(0);
    Ok(())
}

/// SELECT's database.
///
/// # Errors
/// What the client is told.
pub(crate) fn database(door: Door, databases: u8, word: &[u8]) -> Result<u8, Failure> {
    let number = canonical_integer(word).ok_or(Failure::NotInteger)?;
    if i32::try_from(number).is_err() {
        return Err(Failure::text("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    if door != Door::Server && number != 0 {
        return Err(Failure::text("ERR SELECT is not allowed in cluster mode"));
    }
    let number = u8::try_from(number).ok().filter(|&number| number < databases);
    number.ok_or(Failure::text("ERR DB index is out of range"))
}

/// A timeout in milliseconds, as Redis reads it.
///
/// # Errors
/// What the client is told.
pub fn timeout_ms(word: &[u8]) -> Result<u64, Failure> {
    let timeout = canonical_integer(word).ok_or(Failure::text("ERR timeout is not an integer or out of range"))?;
    u64::try_from(timeout).map_err(|_| Failure::text("ERR timeout is negative"))
}

fn wait_aof(list: &[&[u8]]) -> Result<(), Failure> {
    match canonical_integer(list[1]).ok_or(Failure::NotInteger)? {
        0 | 1 => {}
        _ => return Err(Failure::text("ERR value is out of range, value must between 0 and 1")),
    }
    match canonical_integer(list[2]).ok_or(Failure::NotInteger)? {
        0.. => {}
        _ => return Err(Failure::text("ERR value is out of range, must be positive")),
    }
    timeout_ms(list[3]).map(|_| ())
}

const fn row(name: &'static str, arity: i16, flags: u32) -> Command {
    full_row(name, arity, flags, Keys::None, Run::Connection)
}

const TRANSACTION: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("ping", -1, flag::FAST),
    row("echo", 2, flag::LOADING | flag::STALE | flag::FAST),
    row("select", 2, flag::LOADING | flag::STALE | flag::FAST),
    row("auth", -2, TRANSACTION | flag::NO_AUTH),
    row("hello", -1, TRANSACTION | flag::NO_AUTH),
    row("reset", 1, TRANSACTION | flag::NO_AUTH),
    row("quit", -1, TRANSACTION | flag::NO_AUTH),
    row("monitor", 1, flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE),
    row("time", 1, flag::LOADING | flag::STALE | flag::FAST),
    row("role", 1, flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST),
    row("wait", 3, 0),
    row("waitaof", 4, flag::NOSCRIPT),
    row("multi", 1, TRANSACTION),
    row("exec", 1, flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SKIP_SLOWLOG),
    row("discard", 1, TRANSACTION),
    Command { keys: Keys::ALL, ..row("watch", -2, TRANSACTION) },
    row("unwatch", 1, TRANSACTION),
];
