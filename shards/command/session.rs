//! What a connection is to the commands: its database, its protocol, its transaction; and whether a command may run on it now.

use crate::command::command::{Command, Run, flag};
use crate::command::failure::{SHOWN_BYTES_MAX, as_c_string};
use crate::command::table;
use crate::ids::{ClientId, ShardId};
use crate::keyspace::DatabaseIndex;
use crate::limits::QUEUE_BYTES_MAX;
use crate::port::WatchedKey;
use crate::reply::{Protocol, ReplySink};

/// What a queued argument costs besides its own bytes: an empty one, too, fills memory.
const QUEUED_ARGUMENT_BYTES: usize = size_of::<Vec<u8>>() + 16;

/// What a queued command costs besides its arguments.
const QUEUED_COMMAND_BYTES: usize = size_of::<(&'static Command, Vec<Vec<u8>>)>();

/// Which kind of port a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The server's port: one standalone Redis with every key.
    Server,
    /// A shard's port: a Redis Cluster node with this shard's slots.
    Shard(ShardId),
}

/// What CLIENT REPLY chose. As in Redis these are flags of their own: within EXEC, where commands follow each other without one of them
/// having ended, any of them may be set together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReplyMode(u8);

impl ReplyMode {
    /// Replies are sent.
    pub const ON: ReplyMode = ReplyMode(0);
    /// None are sent, until further notice.
    const OFF: u8 = 1;
    /// None is sent to the request that runs.
    const SKIP: u8 = 2;
    /// None will be sent to the one after it.
    const SKIP_NEXT: u8 = 4;

    /// CLIENT REPLY ON: its own reply is sent, whatever was to be skipped.
    pub fn on(&mut self) {
        self.0 &= !(Self::OFF | Self::SKIP);
    }

    /// CLIENT REPLY OFF.
    pub fn off(&mut self) {
        self.0 |= Self::OFF;
    }

    /// CLIENT REPLY SKIP.
    pub fn skip(&mut self) {
        if self.0 & Self::OFF == 0 {
            self.0 |= Self::SKIP_NEXT;
        }
    }

    /// Whether what is written now is sent.
    #[inline]
    pub fn sends(self) -> bool {
        self.0 & (Self::OFF | Self::SKIP) == 0
    }

    /// The request has ended, or was an empty one.
    #[inline]
    pub fn request_ended(&mut self) {
        let skip = if self.0 & Self::SKIP_NEXT == 0 { 0 } else { Self::SKIP };
        self.0 = self.0 & Self::OFF | skip;
    }

    /// RESET, which is a request too: it gets no reply if it was to be skipped.
    pub fn reset(&mut self) {
        self.0 &= Self::SKIP;
    }
}

/// A connection's state, as far as commands see it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its number (CLIENT ID).
    pub id: ClientId,
    /// The port it came in by.
    pub door: Door,
    /// The selected database.
    pub db: DatabaseIndex,
    /// The protocol of its replies.
    pub protocol: Protocol,
    /// Whether it may run commands.
    pub authenticated: bool,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub library_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: Vec<u8>,
    /// What MULTI queued so far.
    pub transaction: Option<Queue>,
    /// The keys that WATCH named.
    pub watched: Vec<(ShardId, WatchedKey)>,
    /// Whether replies are sent.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// MONITOR.
    pub monitors: bool,
    /// QUIT, or a protocol error: closed once its replies have left.
    pub closing: bool,
    /// The last command that ran.
    pub last_command: &'static str,
}

/// The commands of a transaction, until EXEC.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// The commands, with their arguments.
    pub commands: Vec<(&'static Command, Vec<Vec<u8>>)>,
    /// Whether one was refused, so that EXEC will be too.
    pub aborted: bool,
    bytes: usize,
}

impl Queue {
    /// Bytes that the queued commands hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whether a command runs.
#[derive(Clone, Copy, Debug)]
pub enum Admission {
    /// It runs now.
    Run(&'static Command),
    /// It waits for EXEC; `QUEUED` is written.
    Queued,
    /// It does not; the error is written.
    Refused,
}

impl Session {
    /// The session of a new connection.
    pub fn new(id: ClientId, door: Door, authenticated: bool) -> Self {
        Session {
            id,
            door,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            transaction: None,
            watched: Vec::new(),
            reply_mode: ReplyMode::ON,
            no_evict: false,
            no_touch: false,
            monitors: false,
            closing: false,
            last_command: "NULL",
        }
    }

    /// Decides, in Redis's order, whether a command runs, is queued, or is refused.
    #[inline]
    pub fn admit(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> Admission {
        let Some(command) = table::find(arguments[0]) else {
            if arguments[0].eq_ignore_ascii_case(b"post") || arguments[0].eq_ignore_ascii_case(b"host:") {
                // A web browser that was tricked into talking to this port.
                self.closing = true;
                return Admission::Refused;
            }
            return self.refuse_bytes(reply, &unknown_command(arguments));
        };
        let command = if command.subcommands.is_empty() || arguments.len() == 1 {
            command
        } else {
            match table::find_subcommand(command, arguments[1]) {
                Some(subcommand) => subcommand,
                None if matches!(command.run, Run::Container) => {
                    return self.refuse_bytes(reply, &unknown_subcommand(command, arguments[1]));
                }
                None => command,
            }
        };
        if !command.arity_fits(arguments.len()) {
            let name = command.name;
            if name == "exec" {
                return self.refuse_exec(reply, "wrong number of arguments for 'exec' command");
            }
            return self.refuse(reply, &format!("ERR wrong number of arguments for '{name}' command"));
        }
        if !self.authenticated && !command.is(flag::NO_AUTH) {
            return match command.name {
                "exec" => self.refuse_exec(reply, NO_AUTH),
                _ => self.refuse(reply, NO_AUTH),
            };
        }
        if self.monitors && command.is(flag::READONLY | flag::WRITE | flag::MAY_REPLICATE) {
            return self.refuse(reply, "ERR Replica can't interact with the keyspace");
        }
        if self.transaction.is_some() {
            return self.admit_in_transaction(command, arguments, reply);
        }
        self.last_command = command.name;
        Admission::Run(command)
    }

    fn admit_in_transaction(
        &mut self,
        command: &'static Command,
        arguments: &[&[u8]],
        reply: &mut dyn ReplySink,
    ) -> Admission {
        self.last_command = command.name;
        if matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset") {
            return Admission::Run(command);
        }
        if command.is(flag::NO_MULTI) {
            return self.refuse(reply, "ERR Command not allowed inside a transaction");
        }
        let queue = self.transaction.as_mut().expect("the caller looked");
        let bytes: usize = arguments.iter().map(|argument| argument.len() + QUEUED_ARGUMENT_BYTES).sum();
        let bytes = bytes + QUEUED_COMMAND_BYTES;
        if queue.bytes + bytes > QUEUE_BYTES_MAX {
            return self.refuse(reply, "ERR the transaction's commands take more than 1 GiB; EXEC earlier");
        }
        queue.bytes += bytes;
        queue.commands.push((command, arguments.iter().map(|argument| argument.to_vec()).collect()));
        reply.simple("QUEUED");
        Admission::Queued
    }

    fn refuse(&mut self, reply: &mut dyn ReplySink, text: &str) -> Admission {
        self.refuse_bytes(reply, text.as_bytes())
    }

    /// Refuses EXEC: its transaction, if there is one, is over.
    fn refuse_exec(&mut self, reply: &mut dyn ReplySink, text: &str) -> Admission {
        self.transaction = None;
        reply.error(&format!("EXECABORT Transaction discarded because of: {text}"));
        Admission::Refused
    }

    /// Refuses with a text that may hold any bytes.
    fn refuse_bytes(&mut self, reply: &mut dyn ReplySink, text: &[u8]) -> Admission {
        if let Some(queue) = &mut self.transaction {
            queue.aborted = true;
        }
        reply.error_bytes(text);
        Admission::Refused
    }
}

const NO_AUTH: &str = "NOAUTH Authentication required.";

fn unknown_command(arguments: &[&[u8]]) -> Vec<u8> {
    let shown = |bytes: &[u8], max: usize| as_c_string(&bytes[..bytes.len().min(max)]).to_vec();
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(shown(arguments[0], SHOWN_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut bytes = 0;
    for argument in &arguments[1..] {
        if bytes >= SHOWN_BYTES_MAX {
            break;
        }
        let part = shown(argument, SHOWN_BYTES_MAX - bytes);
        bytes += part.len() + 3;
        text.push(b'\'');
        text.extend(part);
        text.extend_from_slice(b"' ");
    }
    text
}

fn unknown_subcommand(container: &Command, name: &[u8]) -> Vec<u8> {
    let shown = as_c_string(&name[..name.len().min(SHOWN_BYTES_MAX)]);
    let help = format!("'. Try {} HELP.", container.name.to_uppercase());
    [b"ERR unknown subcommand '", shown, help.as_bytes()].concat()
}
