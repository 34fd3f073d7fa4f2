//! Requests that are not one shard's: split over shards, asked of all of them, transactions, the connection's own.

use crate::resp::WireReply;
use crate::route::{Join as ReplyJoin, KeyRange, Split};
use crate::runtime::ring::SocketId;
use crate::serve::called::refuse_monitor;
use crate::serve::client::{ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::host::Host;
use crate::serve::job::{Job, OwnedCall, Work};
use crate::serve::message::Ticket;
use bytes::Bytes;
use ringkeep_shards::command::{CLUSTER_DISABLED, Command, Cursor, Door, Join, Keys, Run, run_on_connection};
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::reply::ReplySink;

impl Engine {
    /// Runs a request whose row does not say [`Run::Shard`].
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    pub(super) fn elsewhere(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        match command.run {
            Run::Shard(_) => panic!("the caller looked"),
            Run::PerKey(_, join) => self.per_key(socket, state, command, join, list, owned, out, start),
            Run::EveryShard(_, join) => self.every_shard(socket, state, command, join, list, owned, out, start),
            Run::Walk(_) => self.walk(socket, state, command, list, owned, out, start),
            Run::Connection => self.on_connection(socket, state, command, list, out, start),
            Run::Node if command.name.starts_with("client|") => {
                self.on_clients(socket, state, command, list, out, start);
            }
            Run::Node => self.on_node(socket, state, command, list, out, start),
            Run::Library => self.on_libraries(socket, state, command, list, owned, out, start),
            Run::Script => self.as_one(socket, state, command, list, owned, out, start),
            Run::Container => {
                let text = format!("ERR wrong number of arguments for '{}' command", command.name);
                WireReply::new(out, state.session.protocol).error(&text);
                self.replied(state, out, start, before, None);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    fn per_key(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        join: Join,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let Keys::Range { first, last, step } = command.keys else { panic!("{} works key by key", command.name) };
        let range = KeyRange { first: first as usize, last: isize::from(last), step: step as usize };
        let split = match state.session.door {
            Door::Server if self.shard_count() > 1 => Split::new(list, range, &self.map),
            _ => None,
        };
        let Some(split) = split.filter(|split| split.parts.len() > 1) else {
            return self.as_one(socket, state, command, list, owned, out, start);
        };
        let finish = Finish::Join(match join {
            Join::Sum => ReplyJoin::Sum,
            Join::Interleave => ReplyJoin::Interleave(split.owners.clone()),
            Join::AllOk => ReplyJoin::AllOk,
            Join::Concat => ReplyJoin::Concat,
        });
        let parts = (0..split.parts.len())
            .map(|part| {
                let arguments = split.request(part, list);
                (split.parts[part].shard, Work::Calls(vec![OwnedCall::new(command, &arguments, &[])]))
            })
            .collect();
        self.wait_for_all(socket, state, parts, finish);
    }

    /// A request that could be split, of which one shard owns all keys.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    fn as_one(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        let mut reply = WireReply::new(out, state.session.protocol);
        match self.shard_for(state, command, list, &mut reply) {
            Some(shard) => self.in_script_shard(socket, state, command, shard, list, owned, out, start),
            None => self.replied(state, out, start, before, None),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    fn every_shard(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        join: Join,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        match state.session.door {
            Door::Shard(shard) => self.in_shard(socket, state, command, shard, list, owned, out, start),
            Door::Server if self.shard_count() == 1 => {
                self.in_shard(socket, state, command, ShardId(0), list, owned, out, start);
            }
            Door::Server => {
                let finish = Finish::Join(match join {
                    Join::Sum => ReplyJoin::Sum,
                    Join::AllOk => ReplyJoin::AllOk,
                    Join::Concat => ReplyJoin::Concat,
                    Join::Interleave => panic!("{} has no keys to interleave", command.name),
                });
                let parts = (0..self.shard_count())
                    .map(|shard| (ShardId(shard), Work::Calls(vec![OwnedCall::new(command, list, owned)])))
                    .collect();
                self.wait_for_all(socket, state, parts, finish);
            }
        }
    }

    /// SCAN goes to the shard that its cursor names; RANDOMKEY asks all.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    fn walk(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        if state.session.door == Door::Server && command.name.starts_with("cluster|") {
            let before = out.len();
            WireReply::new(out, state.session.protocol).error(CLUSTER_DISABLED);
            return self.replied(state, out, start, before, None);
        }
        if command.name == "randomkey" && self.shard_count() > 1 && state.session.door == Door::Server {
            let parts = (0..self.shard_count())
                .map(|shard| (ShardId(shard), Work::Calls(vec![OwnedCall::new(command, list, owned)])))
                .collect();
            return self.wait_for_all(socket, state, parts, Finish::Any);
        }
        let shard = match state.session.door {
            Door::Shard(shard) => shard,
            Door::Server => self.cursor_shard(list),
        };
        self.in_shard(socket, state, command, shard, list, owned, out, start);
    }

    /// The shard that a SCAN's cursor names. What is no cursor goes to the first one, which says so.
    fn cursor_shard(&self, list: &[&[u8]]) -> ShardId {
        let cursor = list.get(1).and_then(|cursor| Cursor::decode(cursor).ok());
        cursor.filter(|cursor| cursor.exists(self.shard_count())).map_or(ShardId(0), |cursor| cursor.shard)
    }

    fn on_connection(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        match command.name {
            "exec" => return self.exec(socket, state, out, start),
            "wait" | "waitaof" if self.block(socket, state, command, list) => return,
            "monitor" if state.exec.is_some() => refuse_monitor(&mut WireReply::new(out, state.session.protocol)),
            // Who listens already is not answered.
            "monitor" if state.session.monitors => {}
            "monitor" => return self.monitor(socket, state),
            "watch" if state.session.transaction.is_none() => return self.watch(socket, state, list, out, start),
            "discard" if state.session.transaction.is_some() => {
                state.session.transaction = None;
                self.unwatch(state);
                WireReply::new(out, state.session.protocol).ok();
            }
            "unwatch" => {
                self.unwatch(state);
                WireReply::new(out, state.session.protocol).ok();
            }
            _ => {
                if command.name == "reset" {
                    self.unwatch(state);
                    self.stop_monitor(socket, state);
                }
                let host = Host::new(self, state, socket.index(), before - start);
                let mut reply = WireReply::new(out, state.session.protocol);
                run_on_connection(command, &mut state.session, &host, list, &mut reply);
            }
        }
        self.replied(state, out, start, before, None);
    }

    /// Ends every watch of the connection.
    pub fn unwatch(&mut self, state: &mut ClientState) {
        let mut watched = std::mem::take(&mut state.session.watched);
        while let Some(&(shard, _)) = watched.first() {
            let keys;
            (keys, watched) = watched.into_iter().partition::<Vec<_>, _>(|&(other, _)| other == shard);
            let watches = keys.into_iter().map(|(_, key)| key).collect();
            let ticket = Ticket { core: self.core, socket: None, serial: 0, part: 0 };
            let job = Job::new(shard, &state.session, Work::Unwatch(watches));
            self.give(ticket, job);
        }
    }

    fn watch(&mut self, socket: SocketId, state: &mut ClientState, list: &[&[u8]], out: &mut Vec<u8>, start: usize) {
        let before = out.len();
        let mut parts: Vec<(ShardId, Vec<Vec<u8>>)> = Vec::new();
        for key in &list[1..] {
            let shard = self.map.shard_of(key);
            if let Door::Shard(own) = state.session.door
                && shard != own
            {
                let text = self.moved_text(state, key, shard);
                WireReply::new(out, state.session.protocol).error(&text);
                return self.replied(state, out, start, before, None);
            }
            let known =
                state.session.watched.iter().any(|(_, watched)| watched.db == state.session.db && watched.key == *key);
            if known {
                continue;
            }
            match parts.iter_mut().find(|(other, _)| *other == shard) {
                Some((_, keys)) => keys.push(key.to_vec()),
                None => parts.push((shard, vec![key.to_vec()])),
            }
        }
        if parts.is_empty() {
            WireReply::new(out, state.session.protocol).ok();
            return self.replied(state, out, start, before, None);
        }
        let parts = parts.into_iter().map(|(shard, keys)| (shard, Work::Watch(keys))).collect();
        self.wait_for_all(socket, state, parts, Finish::Watch);
    }

    pub(super) fn moved_text(&self, state: &ClientState, key: &[u8], shard: ShardId) -> String {
        let (host, port) = crate::serve::cluster::shard_address(self.node.settings.config(), state, shard);
        format!("MOVED {} {host}:{port}", ringkeep_shards::slots::slot_of(key).0)
    }
}
