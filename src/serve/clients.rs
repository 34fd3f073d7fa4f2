//! CLIENT's subcommands that look at all connections of the node: every core is asked.

use crate::resp::WireReply;
use crate::runtime::connection::Connection;
use crate::runtime::ring::SocketId;
use crate::serve::client::{Client, ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::host::address_text;
use crate::serve::message::{CoreView, Message, Moving};
use ringkeep_shards::command::{
    ClientFacts, ClientFilter, ClientKind, Command, Failure, KilledClients, ListedClients, client_line, timeout_ms,
};
use ringkeep_shards::ids::ClientId;
use ringkeep_shards::keyspace::canonical_integer;
use ringkeep_shards::reply::ReplySink;
use std::any::Any;
use std::collections::BTreeSet;

impl Engine {
    /// Runs `client|...` of which the row says [`ringkeep_shards::command::Run::Node`].
    pub(super) fn on_clients(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        let asked = match command.name {
            "client|list" => ListedClients::parse(list).map(|listed| self.list_clients(socket, state, listed)),
            "client|kill" => KilledClients::parse(list).map(|killed| self.kill_clients(socket, state, killed)),
            "client|pause" => pause(list).map(|(ms, all)| {
                let until_us = self.now.monotonic_us.saturating_add(ms.saturating_mul(1000));
                self.tell_all(socket, state, move |view| view.engine.pause_clients(until_us, all));
            }),
            "client|unpause" => {
                self.tell_all(socket, state, |view| view.engine.unpause_clients());
                Ok(())
            }
            "client|unblock" => unblock(list).map(|(id, by_error)| self.unblock_client(socket, state, id, by_error)),
            name => panic!("{name} is in the table without anything that runs it"),
        };
        if let Err(failure) = asked {
            failure.write(&mut WireReply::new(out, state.session.protocol));
            self.replied(state, out, start, before, None);
        }
    }

    /// Every core does something; the reply is OK.
    fn tell_all(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        told: impl Fn(&mut CoreView<'_>) + Clone + Send + 'static,
    ) {
        let question = || -> crate::serve::message::Question {
            let told = told.clone();
            Box::new(move |view| {
                told(view);
                Some(Box::new(()))
            })
        };
        let finish = Finish::Data(Box::new(|_, state, _, out| WireReply::new(out, state.session.protocol).ok()));
        self.ask_all(socket, state, question, finish);
    }

    fn list_clients(&mut self, socket: SocketId, state: &mut ClientState, listed: ListedClients) {
        let question = || -> crate::serve::message::Question { Box::new(|view| Some(Box::new(lines(view)))) };
        let finish = Finish::Data(Box::new(move |_, state, parts, out| {
            let mut lines: Vec<(ClientId, Vec<u8>)> = parts.into_iter().flat_map(answer::<Lines>).collect();
            // One that moved meanwhile may have been seen on both cores.
            lines.sort();
            lines.dedup_by_key(|(id, _)| *id);
            let text: Vec<u8> = match listed {
                ListedClients::All | ListedClients::Kind(ClientKind::Normal) => {
                    lines.into_iter().flat_map(|(_, line)| line).collect()
                }
                ListedClients::Kind(_) => Vec::new(),
                ListedClients::Ids(ids) => {
                    let line = |id| lines.iter().find(|(found, _)| *found == id).map(|(_, line)| line.clone());
                    ids.into_iter().filter_map(line).flatten().collect()
                }
            };
            WireReply::new(out, state.session.protocol).verbatim(*b"txt", &text);
        }));
        self.ask_all(socket, state, question, finish);
    }

    fn unblock_client(&mut self, socket: SocketId, state: &mut ClientState, id: ClientId, by_error: bool) {
        let question = || -> crate::serve::message::Question {
            Box::new(move |view| {
                let found = view.connections.iter_mut().find(|connection| connection.client.state.session.id == id);
                let socket = found.map(|connection| connection.socket());
                Some(Box::new(socket.is_some_and(|socket| view.engine.unblock(socket, by_error))))
            })
        };
        let finish = Finish::Data(Box::new(move |_, state, parts, out| {
            let ended = parts.into_iter().any(answer::<bool>);
            WireReply::new(out, state.session.protocol).integer(i64::from(ended));
        }));
        self.ask_all(socket, state, question, finish);
    }

    fn kill_clients(&mut self, socket: SocketId, state: &mut ClientState, killed: KilledClients) {
        let own = state.session.id;
        let (filter, by_address) = match killed {
            KilledClients::Address(filter) => (filter, true),
            KilledClients::Filtered(filter) => (filter, false),
        };
        let question = || -> crate::serve::message::Question {
            let filter = filter.clone();
            Box::new(move |view| Some(Box::new(kill(view, &filter, own))))
        };
        let finish = Finish::Data(Box::new(move |_, state, parts, out| {
            let killed: BTreeSet<ClientId> = parts.into_iter().flat_map(answer::<Vec<ClientId>>).collect();
            let count = killed.len() as i64;
            let mut reply = WireReply::new(out, state.session.protocol);
            match (by_address, count) {
                (true, 0) => reply.error("ERR No such client"),
                (true, _) => reply.ok(),
                (false, count) => reply.integer(count),
            }
        }));
        self.ask_all(socket, state, question, finish);
    }
}

type Lines = Vec<(ClientId, Vec<u8>)>;

fn answer<T: 'static>(part: Box<dyn Any + Send>) -> T {
    *part.downcast().expect("a question is answered with what it asks for")
}

/// The lines of a core's connections.
fn lines(view: &mut CoreView<'_>) -> Lines {
    let now_us = view.engine.now.monotonic_us;
    let left = view.engine.traces.iter_mut().map(|trace| (trace.id, trace.line.clone()));
    let held =
        view.connections.iter_mut().map(|connection| (connection.client.state.session.id, line(connection, now_us)));
    held.chain(left).collect()
}

/// A connection's line.
pub(crate) fn line(connection: &Connection<Client>, now_us: u64) -> Vec<u8> {
    let seconds_since = |then_us: u64| now_us.saturating_sub(then_us) / 1_000_000;
    let state = &connection.client.state;
    let facts = ClientFacts {
        peer: address_text(state.peer),
        local: address_text(state.local),
        socket: connection.socket().index(),
        age_s: seconds_since(state.since_us),
        idle_s: seconds_since(connection.last_active_us),
        input_bytes: connection.undecoded().len(),
        output_bytes: connection.unsent_bytes(),
        buffer_bytes: connection.buffer_bytes(),
    };
    client_line(&state.session, &facts)
}

/// Closes those of a core's connections that fit; which did. The one that asks gets its reply first.
fn kill(view: &mut CoreView<'_>, filter: &ClientFilter, own: ClientId) -> Vec<ClientId> {
    let mut killed = Vec::new();
    for connection in view.connections.iter_mut() {
        let socket = connection.socket();
        let state = &mut connection.client.state;
        let id = state.session.id;
        if state.ended || !filter.fits(id, own, &address_text(state.peer), &address_text(state.local)) {
            continue;
        }
        killed.push(id);
        if id == own {
            state.session.closing = true;
        } else {
            // It is not found a second time while its socket is being closed.
            state.ended = true;
            view.close.push(socket);
        }
    }
    for trace in view.engine.traces.iter_mut() {
        if !trace.killed && filter.fits(trace.id, own, &trace.peer, &trace.local) {
            trace.killed = true;
            killed.push(trace.id);
            view.engine.outbox.push((trace.to, Message::Moving(Moving::Close(trace.id))));
        }
    }
    killed
}

/// `CLIENT PAUSE timeout [WRITE | ALL]`: milliseconds, and whether reads are held back too.
fn pause(list: &[&[u8]]) -> Result<(u64, bool), Failure> {
    let all = match list {
        [_, _, _] => true,
        [_, _, _, mode] if mode.eq_ignore_ascii_case(b"all") => true,
        [_, _, _, mode] if mode.eq_ignore_ascii_case(b"write") => false,
        [_, _, _, _] => return Err(Failure::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(Failure::subcommand("CLIENT", list[1])),
    };
    Ok((timeout_ms(list[2])?, all))
}

/// Reads `CLIENT UNBLOCK id [TIMEOUT | ERROR]`.
fn unblock(list: &[&[u8]]) -> Result<(ClientId, bool), Failure> {
    let by_error = match list {
        [_, _, _] => false,
        [_, _, _, how] if how.eq_ignore_ascii_case(b"timeout") => false,
        [_, _, _, how] if how.eq_ignore_ascii_case(b"error") => true,
        [_, _, _, _] => return Err(Failure::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(Failure::subcommand("CLIENT", list[1])),
    };
    let id = canonical_integer(list[2]).ok_or(Failure::NotInteger)?;
    Ok((ClientId(id as u64), by_error))
}
