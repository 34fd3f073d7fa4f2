//! EXEC: where a transaction runs, and as what.
//!
//! Commands of one shard and of the connection go to the shard as one job. Where commands of the node are among them, the
//! transaction runs piece by piece, in order, while its shard is held: nobody sees anything between the pieces.

use crate::resp::WireReply;
use crate::runtime::ring::SocketId;
use crate::serve::called::{Called, Ended, refuse_monitor};
use crate::serve::client::{ClientState, Finish, Waiting};
use crate::serve::engine::Engine;
use crate::serve::functions::{FIRST, changes_libraries};
use crate::serve::host::Host;
use crate::serve::job::{Job, Work};
use crate::serve::message::Answer;
use crate::serve::shown::Shown;
use ringkeep_shards::command::{CLUSTER_DISABLED, Command, Door, Run, Session, at_shard_port, find, run_on_connection};
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::port::{ExecItem, WatchedKey};
use ringkeep_shards::reply::ReplySink;
use ringkeep_shards::slots::slot_of;
use std::collections::VecDeque;

/// A command that MULTI queued.
type Queued = (&'static Command, Vec<Vec<u8>>);

/// A transaction that runs piece by piece.
pub struct ExecRun {
    /// The shard that it holds; none if it has nothing for any.
    pub(super) shard: Option<ShardId>,
    queue: VecDeque<Queued>,
    watches: Vec<WatchedKey>,
    total: usize,
    /// Whether the array's header is written: the watched keys were found unchanged.
    begun: bool,
    /// How many commands the piece under way has.
    piece: usize,
    /// The reply so far. It leaves as a whole, once the shard has committed: until then nothing of it is certain.
    replies: Vec<u8>,
}

/// What EXEC's commands need.
struct Needs {
    shard: Option<ShardId>,
    /// Whether commands of the node are among them.
    node: bool,
}

impl Engine {
    pub(super) fn exec(&mut self, socket: SocketId, state: &mut ClientState, out: &mut Vec<u8>, start: usize) {
        let before = out.len();
        let Some(mut queue) = state.session.transaction.take() else {
            WireReply::new(out, state.session.protocol).error("ERR EXEC without MULTI");
            return self.replied(state, out, start, before, None);
        };
        if let Door::Shard(_) = state.session.door {
            queue.commands.iter_mut().for_each(|(command, _)| *command = at_shard_port(command));
        }
        let needs = if queue.aborted {
            Err("EXECABORT Transaction discarded because of previous errors.")
        } else {
            self.exec_needs(state, &queue.commands)
        };
        let needs = match needs {
            Ok(needs) => needs,
            Err(text) => {
                self.unwatch(state);
                WireReply::new(out, state.session.protocol).error(text);
                return self.replied(state, out, start, before, None);
            }
        };
        if let Some(shard) = needs.shard {
            self.count_traffic(state, shard);
        }
        let watches = std::mem::take(&mut state.session.watched).into_iter().map(|(_, key)| key).collect();
        if needs.node {
            state.exec = Some(Box::new(ExecRun {
                shard: needs.shard,
                total: queue.commands.len(),
                queue: queue.commands.into(),
                watches,
                begun: false,
                piece: 0,
                replies: Vec::new(),
            }));
            self.run_exec(socket, state, out, start);
            return;
        }
        let called = queue.commands.iter().map(|(command, _)| *command).collect();
        let (items, session, lines, shown) = self.exec_items(socket, state, queue.commands);
        let shard = needs.shard.unwrap_or(ShardId(0));
        let work = Work::Exec { items, watches, hold: false };
        let job = Job::new(shard, &state.session, work);
        let serial = state.wait(1, Finish::Exec(Box::new(session)));
        if let Some(waiting) = &mut state.waiting {
            waiting.shown = shown;
            waiting.called = Called::Items(called, Some(find(b"exec").expect("a row of the table")));
            waiting.ran.lines = lines;
        }
        let ticket = self.ticket(socket, serial, 0);
        self.give(ticket, job);
    }

    /// The one shard of a transaction's keys.
    ///
    /// # Errors
    /// There are several.
    fn exec_needs(&self, state: &ClientState, commands: &[Queued]) -> Result<Needs, &'static str> {
        let door = state.session.door;
        let mut shard = match door {
            Door::Shard(shard) => Some(shard),
            Door::Server if self.shard_count() == 1 => Some(ShardId(0)),
            Door::Server => None,
        };
        let mut join = |other: ShardId| match shard.replace(other) {
            Some(shard) if shard != other => Err(CROSS_SHARD_EXEC),
            _ => Ok(()),
        };
        for (other, _) in &state.session.watched {
            join(*other)?;
        }
        let mut node = false;
        let mut slot = None;
        for (command, arguments) in commands {
            match command.run {
                Run::Shard(_) | Run::PerKey(..) | Run::Script => {
                    let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                    for position in command.key_positions(&list).into_iter().flatten() {
                        let other = slot_of(list[position]);
                        if door != Door::Server && *slot.get_or_insert(other) != other {
                            return Err(CROSS_SLOT_EXEC);
                        }
                        join(self.map.shard_of_slot(other))?;
                    }
                }
                Run::Walk(_) if door == Door::Server && command.name.starts_with("cluster|") => {}
                Run::EveryShard(..) | Run::Walk(_) => {
                    if self.shard_count() > 1 && door == Door::Server {
                        return Err(CROSS_SHARD_EXEC);
                    }
                }
                Run::Library if changes_libraries(command) && self.shard_count() > 1 => return Err(CROSS_SHARD_EXEC),
                Run::Library => join(FIRST)?,
                Run::Node => node = true,
                Run::Connection | Run::Container => {}
            }
        }
        let needs_shard = |(command, _): &Queued| in_shard(state, command);
        if shard.is_none() && commands.iter().any(needs_shard) {
            // Commands without keys, a script say: any shard will do.
            shard = Some(ShardId(0));
        }
        Ok(Needs { shard, node })
    }

    /// A transaction's commands for its shard, and the session after it: commands of the connection itself are run on a copy. And
    /// what MONITOR shows of them, and what of the reply is sent.
    fn exec_items(
        &self,
        socket: SocketId,
        state: &ClientState,
        commands: Vec<Queued>,
    ) -> (Vec<ExecItem>, Session, Vec<u8>, Shown) {
        let mut lines = Vec::new();
        let mut shown = vec![state.session.reply_mode.sends()];
        let mut session = state.session.clone();
        let host = Host::new(self, state, socket.index(), 0);
        let mut items = Vec::with_capacity(commands.len());
        for (command, arguments) in commands {
            if in_shard(state, command) {
                self.write_monitor_line(&mut lines, state, session.db, command, &arguments);
                items.push(ExecItem::Run { command, db: session.db, protocol: session.protocol, arguments });
                shown.push(session.reply_mode.sends());
                continue;
            }
            let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let mut bytes = Vec::new();
            let mut reply = WireReply::new(&mut bytes, session.protocol);
            match command.run {
                Run::Walk(_) => reply.error(CLUSTER_DISABLED),
                // EXEC has ended the watches already.
                Run::Connection if command.name == "unwatch" => reply.ok(),
                Run::Connection if command.name == "monitor" => refuse_monitor(&mut reply),
                Run::Connection => run_on_connection(command, &mut session, &host, &list, &mut reply),
                _ => panic!("{} needs pieces", command.name),
            }
            shown.push(session.reply_mode.sends() && !bytes.is_empty());
            if bytes.is_empty() {
                // CLIENT REPLY OFF and SKIP have no reply. Until it is sent, the array is a whole one.
                WireReply::new(&mut bytes, session.protocol).null();
            }
            self.write_monitor_line(&mut lines, state, session.db, command, &arguments);
            items.push(ExecItem::Reply { command, arguments, reply: bytes });
        }
        session.watched.clear();
        let exec = find(b"exec").expect("a row of the table");
        self.write_monitor_line(&mut lines, state, session.db, exec, &[b"exec".to_vec()]);
        (items, session, lines, Shown::parts(shown))
    }

    /// Runs pieces until one must be waited for, or none is left: whether EXEC is finished, with its reply in `out`.
    pub(super) fn run_exec(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        // The pieces' replies gather apart, and so do their gates: the whole has one.
        let gates = std::mem::take(&mut state.gates);
        let mut replies = std::mem::take(&mut state.exec.as_mut().expect("an EXEC runs").replies);
        self.run_pieces(socket, state, &mut replies);
        state.gates = gates;
        state.exec.as_mut().expect("it ends when its reply is written").replies = replies;
        if state.waiting.is_some() {
            return false;
        }
        self.finish_exec(state, out);
        state.gates.mark(out.len() - start, None);
        true
    }

    /// An answer to one of the pieces has come.
    pub(super) fn finish_within_exec(&mut self, state: &mut ClientState, mut waiting: Waiting, ended: Ended) {
        let gates = std::mem::take(&mut state.gates);
        let mut out = std::mem::take(&mut state.exec.as_mut().expect("an EXEC runs").replies);
        let before = out.len();
        let shown = std::mem::replace(&mut waiting.shown, Shown::All);
        if let (Finish::Piece, Some(Some(Answer::Reply(reply, _)))) = (&waiting.finish, waiting.parts.first()) {
            self.answered_call(state, ended, reply);
            self.finish(state, waiting, &mut out);
        } else {
            self.finish(state, waiting, &mut out);
            self.answered_call(state, ended, &out[before..]);
        }
        shown.cut(&mut out, before);
        state.gates = gates;
        state.exec.as_mut().expect("it is not at its end").replies = out;
    }

    fn run_pieces(&mut self, socket: SocketId, state: &mut ClientState, out: &mut Vec<u8>) {
        let start = 0;
        while state.waiting.is_none() {
            let run = state.exec.as_mut().expect("an EXEC runs");
            let first = run.queue.front().map(|(command, _)| *command);
            if !run.begun && run.shard.is_none() {
                run.begun = true;
                let total = run.total;
                let before = out.len();
                WireReply::new(out, state.session.protocol).array(total);
                self.piece_replied(state, out, start, before);
                continue;
            }
            if !run.begun || first.is_some_and(|command| in_shard(state, command)) {
                self.send_piece(socket, state);
                continue;
            }
            let Some((command, arguments)) = state.exec.as_mut().and_then(|run| run.queue.pop_front()) else {
                return self.release(socket, state);
            };
            let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            self.run_admitted(socket, state, command, &list, &[], out, start);
        }
    }

    /// Sends the shard's commands that come next; at first perhaps none, but the watched keys.
    fn send_piece(&mut self, socket: SocketId, state: &mut ClientState) {
        let mut items = Vec::new();
        let run = state.exec.as_mut().expect("the caller looked");
        let mut queue = std::mem::take(&mut run.queue);
        let (watches, hold) = (std::mem::take(&mut run.watches), !run.begun);
        let shard = run.shard.expect("pieces are a shard's");
        while queue.front().is_some_and(|(command, _)| in_shard(state, command)) {
            let Some((command, arguments)) = queue.pop_front() else { break };
            let (db, protocol) = (state.session.db, state.session.protocol);
            items.push(ExecItem::Run { command, db, protocol, arguments });
        }
        let mut lines = Vec::new();
        for item in &items {
            if let ExecItem::Run { command, db, arguments, .. } = item {
                self.write_monitor_line(&mut lines, state, *db, command, arguments);
            }
        }
        let called = items.iter().map(|item| match item {
            ExecItem::Run { command, .. } => *command,
            ExecItem::Reply { .. } => panic!("pieces are made of the shard's commands"),
        });
        let called = Called::Items(called.collect(), None);
        let run = state.exec.as_mut().expect("it was just there");
        run.queue = queue;
        run.piece = items.len();
        let work = Work::Exec { items, watches, hold };
        let job = Job::new(shard, &state.session, work);
        let serial = state.wait(1, Finish::Piece);
        if let Some(waiting) = &mut state.waiting {
            waiting.shown = Shown::whole(state.session.reply_mode.sends());
            waiting.called = called;
            waiting.ran.lines = lines;
        }
        let ticket = self.ticket(socket, serial, 0);
        self.give(ticket, job);
    }

    /// A piece is answered with an array: its elements become EXEC's.
    pub(super) fn finish_piece(&mut self, state: &mut ClientState, reply: &[u8], out: &mut Vec<u8>) {
        let protocol = state.session.protocol;
        let run = state.exec.as_mut().expect("pieces are of an EXEC");
        let elements = reply.starts_with(b"*") && reply != b"*-1\r\n";
        if !run.begun {
            run.begun = true;
            if !elements {
                // A watched key was changed, or the shard does not serve.
                run.queue.clear();
                out.extend_from_slice(reply);
                return;
            }
            WireReply::new(out, protocol).array(run.total);
        }
        if elements {
            let header = reply.iter().position(|&byte| byte == b'\n').expect("an array has a header");
            out.extend_from_slice(&reply[header + 1..]);
        } else {
            (0..run.piece).for_each(|_| out.extend_from_slice(reply));
        }
    }

    fn piece_replied(&mut self, state: &mut ClientState, out: &mut Vec<u8>, start: usize, before: usize) {
        if !state.session.reply_mode.sends() {
            out.truncate(before);
        }
        state.gates.mark(out.len() - start, None);
    }

    /// Releases the shard, if one is held, and waits until it has committed.
    fn release(&mut self, socket: SocketId, state: &mut ClientState) {
        let Some(shard) = state.exec.as_ref().and_then(|run| run.shard) else { return };
        let serial = state.wait(1, Finish::ExecEnd);
        let job = Job::new(shard, &state.session, Work::Release);
        self.give(self.ticket(socket, serial, 0), job);
    }

    /// EXEC is over: its reply is written.
    pub(super) fn finish_exec(&mut self, state: &mut ClientState, out: &mut Vec<u8>) {
        let run = state.exec.take().expect("an EXEC runs");
        out.extend_from_slice(&run.replies);
        state.session.reply_mode.request_ended();
    }
}

/// Whether a command of a transaction runs in its shard.
fn in_shard(state: &ClientState, command: &Command) -> bool {
    match command.run {
        Run::Shard(_) | Run::PerKey(..) | Run::Script | Run::Library | Run::EveryShard(..) => true,
        Run::Walk(_) => state.session.door != Door::Server || !command.name.starts_with("cluster|"),
        Run::Connection | Run::Node | Run::Container => false,
    }
}

const CROSS_SHARD_EXEC: &str = "CROSSSLOT Keys of this transaction don't live in one shard, and transactions over several shards are not there yet";
/// On a shard's own port a transaction has one slot, as in a Redis Cluster.
const CROSS_SLOT_EXEC: &str = "CROSSSLOT Keys in request don't hash to the same slot";
