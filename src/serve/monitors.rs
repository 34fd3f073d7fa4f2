//! MONITOR: every core tells the cores that have listeners what its connections ask.
//!
//! While nobody listens, a command costs one look at a flag. Lines gather for a turn and leave as one message per core; they are in
//! order for each connection that is watched. A listener that does not read is closed at its output limit.

use crate::log_line;
use crate::observe::without_secrets;
use crate::resp::WireReply;
use crate::runtime::clock;
use crate::runtime::ring::SocketId;
use crate::serve::client::{ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::message::{CoreView, Message, Question, Ticket};
use ringkeep_shards::command::{Command, Door, Run, flag};
use ringkeep_shards::ids::CoreId;
use ringkeep_shards::keyspace::DatabaseIndex;
use ringkeep_shards::reply::ReplySink;
use std::collections::BTreeSet;
use std::io::Write;

/// Bytes that a listener may leave unread although `client-output-buffer-limit` sets no bound.
const UNREAD_BYTES_MAX: usize = 256 << 20;

/// One core's listeners, and what it has to tell the node's.
#[derive(Default)]
pub struct Monitors {
    /// Cores that have listeners.
    cores: BTreeSet<CoreId>,
    /// This core's listeners.
    own: Vec<SocketId>,
    /// Lines that are not told yet.
    lines: Vec<u8>,
}

impl Monitors {
    /// Whether anybody listens.
    #[inline]
    pub fn is_fed(&self) -> bool {
        !self.cores.is_empty()
    }

    /// Whether lines wait to be told.
    #[inline]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }
}

impl Engine {
    /// MONITOR.
    pub(super) fn monitor(&mut self, socket: SocketId, state: &mut ClientState) {
        let core = self.core;
        let question = || -> Question {
            Box::new(move |view| {
                view.engine.listens(core, true);
                Some(Box::new(()))
            })
        };
        let finish = Finish::Data(Box::new(move |engine, state, _, out| {
            state.session.monitors = true;
            engine.monitors.own.push(socket);
            WireReply::new(out, state.session.protocol).ok();
        }));
        self.ask_all(socket, state, question, finish);
    }

    /// A listener leaves, or stops to listen.
    pub(super) fn stop_monitor(&mut self, socket: SocketId, state: &mut ClientState) {
        if !state.session.monitors {
            return;
        }
        state.session.monitors = false;
        self.monitors.own.retain(|own| *own != socket);
        if !self.monitors.own.is_empty() {
            return;
        }
        let core = self.core;
        self.listens(core, false);
        for other in self.cores().into_iter().filter(|other| *other != core) {
            let told: Question = Box::new(move |view| {
                view.engine.listens(core, false);
                Some(Box::new(()))
            });
            self.outbox.push((other, Message::Ask(self.nobody(), told)));
        }
    }

    /// Another core's listeners come or go.
    fn listens(&mut self, core: CoreId, listens: bool) {
        if listens {
            self.monitors.cores.insert(core);
        } else if core != self.core || self.monitors.own.is_empty() {
            self.monitors.cores.remove(&core);
        }
        let fed = self.monitors.is_fed();
        self.shards.iter_mut().for_each(|local| local.shard.script_calls().record(fed));
    }

    /// Tells listeners of a command of a connection.
    #[cold]
    pub(super) fn feed_monitors(&mut self, state: &ClientState, command: &Command, list: &[&[u8]]) {
        if is_shown(command) {
            let mut lines = std::mem::take(&mut self.monitors.lines);
            write_line(&mut lines, state.session.db, Some(state), list);
            self.monitors.lines = lines;
        }
        if let (Run::Script, Door::Server | Door::Shard(_)) = (command.run, state.session.door) {
            for place in 0..self.shards.len() {
                let lines = self.script_lines(place);
                self.monitors.lines.extend(lines);
            }
        }
    }

    /// A line for a command of a transaction.
    pub(super) fn write_monitor_line(
        &self,
        lines: &mut Vec<u8>,
        state: &ClientState,
        db: DatabaseIndex,
        command: &Command,
        arguments: &[Vec<u8>],
    ) {
        if self.monitors.is_fed() && is_shown(command) {
            let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            write_line(lines, db, Some(state), &list);
        }
    }

    /// Lines that were made before.
    pub(super) fn feed_lines(&mut self, lines: &[u8]) {
        if self.monitors.is_fed() {
            self.monitors.lines.extend_from_slice(lines);
        }
    }

    /// Lines of what a shard's scripts called.
    pub(super) fn script_lines(&mut self, place: usize) -> Vec<u8> {
        let mut lines = Vec::new();
        for call in self.shards[place].shard.script_calls().take_recorded() {
            let list: Vec<&[u8]> = call.arguments.iter().map(Vec::as_slice).collect();
            write_line(&mut lines, call.db, None, &list);
        }
        lines
    }

    /// Sends what was gathered to the cores that have listeners.
    pub fn tell_monitors(&mut self) {
        if self.monitors.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.monitors.lines);
        for core in self.monitors.cores.iter().copied().collect::<Vec<_>>() {
            let lines = lines.clone();
            let told: Question = Box::new(move |view| {
                deliver(view, &lines);
                Some(Box::new(()))
            });
            if core == self.core {
                self.questions.push((self.nobody(), told));
            } else {
                self.outbox.push((core, Message::Ask(self.nobody(), told)));
            }
        }
    }

    pub(super) fn nobody(&self) -> Ticket {
        Ticket { core: self.core, socket: None, serial: 0, part: 0 }
    }
}

/// Writes lines to a core's listeners.
fn deliver(view: &mut CoreView<'_>, lines: &[u8]) {
    let bytes_max = view.engine.node.output_bytes_max().min(UNREAD_BYTES_MAX);
    for &socket in &view.engine.monitors.own {
        let Some(connection) = view.connections.get_mut(socket) else { continue };
        let session = &connection.client.state.session;
        if session.closing || !session.reply_mode.sends() {
            continue;
        }
        if connection.unsent_bytes() + lines.len() > bytes_max {
            if !connection.client.state.ended {
                connection.client.state.ended = true;
                let id = connection.client.state.session.id;
                log_line::warning(format_args!("client {id} is closed: it does not read what MONITOR shows"));
                view.close.push(socket);
            }
            continue;
        }
        let (client, out, start) = connection.client_and_output(view.pool);
        out.extend_from_slice(lines);
        client.state.gates.mark(out.len() - start, None);
        view.engine.released.push(socket);
    }
}

/// Commands for operators are not shown. Scripts are, although their rows say otherwise: they are shown before what they call.
fn is_shown(command: &Command) -> bool {
    matches!(command.run, Run::Script) || !command.is(flag::SKIP_MONITOR | flag::ADMIN)
}

/// `+seconds.micros [db address] "name" "argument"`; a script's calls come from `lua`.
fn write_line(lines: &mut Vec<u8>, db: DatabaseIndex, client: Option<&ClientState>, list: &[&[u8]]) {
    let now_us = clock::unix_us();
    let (s, us) = (now_us / 1_000_000, now_us % 1_000_000);
    let from = match client {
        Some(state) => super::host::address_text(state.peer),
        None => "lua".to_owned(),
    };
    write!(lines, "+{s}.{us:06} [{db} {from}]").expect("a vector takes everything");
    for argument in without_secrets(list).iter() {
        lines.extend_from_slice(b" \"");
        for &byte in *argument {
            match byte {
                b'\\' | b'"' => lines.extend_from_slice(&[b'\\', byte]),
                b'\n' => lines.extend_from_slice(b"\\n"),
                b'\r' => lines.extend_from_slice(b"\\r"),
                b'\t' => lines.extend_from_slice(b"\\t"),
                7 => lines.extend_from_slice(b"\\a"),
                8 => lines.extend_from_slice(b"\\b"),
                b' '..=b'~' => lines.push(byte),
                _ => write!(lines, "\\x{byte:02x}").expect("a vector takes everything"),
            }
        }
        lines.push(b'"');
    }
    lines.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_redis() {
        let mut line = Vec::new();
        write_line(&mut line, 3, None, &[b"set", b"a\"\\\r\n\t\x07\x08\0\xff b", b""]);
        let line = String::from_utf8(line).unwrap();
        let (_, rest) = line.split_once(' ').unwrap();
        assert_eq!(rest, "[3 lua] \"set\" \"a\\\"\\\\\\r\\n\\t\\a\\b\\x00\\xff b\" \"\"\r\n");
    }
}
